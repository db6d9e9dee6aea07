// Options with values: numbers are read the same in every culture, and a wrong one is an error in four parts.
// Source: System.CommandLine's options; its own messages name types, which tell a user nothing.
// Refuses: text where a number belongs, whole numbers out of range. Other ranges are checked where they matter.

using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Ptp.Core;

namespace Ptp.Reference.Commands;

/// <summary>Makes options.</summary>
internal static class Values
{
    /// <summary>A whole number.</summary>
    public static Option<int> Whole(
        string name, string help, int value, int least = 0, int most = int.MaxValue, string unit = "N") => new(name)
        {
            Description = help,
            HelpName = unit,
            DefaultValueFactory = _ => value,
            CustomParser = result => ParseWhole(name, result, least, most),
        };

    /// <summary>A whole number that may be left out.</summary>
    public static Option<int?> WholeOrNone(string name, string help, int least = 0, int most = int.MaxValue) => new(name)
    {
        Description = help,
        HelpName = "N",
        CustomParser = result => ParseWhole(name, result, least, most),
    };

    /// <summary>A number.</summary>
    public static Option<double> Number(string name, string help, double value, string unit = "X") => new(name)
    {
        Description = help,
        HelpName = unit,
        DefaultValueFactory = _ => value,
        CustomParser = result => ParseNumber(name, result),
    };

    /// <summary>A number that may be left out.</summary>
    public static Option<double?> NumberOrNone(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "X",
        CustomParser = result => ParseNumber(name, result),
    };

    /// <summary>A seed: any 64-bit number.</summary>
    public static Option<ulong> Seed(string help, ulong value) => new("--seed")
    {
        Description = help,
        HelpName = "N",
        DefaultValueFactory = _ => value,
        CustomParser = result => ulong.TryParse(Token(result), NumberStyles.None, CultureInfo.InvariantCulture, out var seed)
            ? seed
            : throw Refuse("--seed", result, $"a whole number from 0 to {ulong.MaxValue}", "--seed 42"),
    };

    /// <summary>A text or a path.</summary>
    public static Option<string?> Text(string name, string help, string unit, string? value = null)
    {
        var option = new Option<string?>(name) { Description = help, HelpName = unit };
        if (value is not null)
        {
            option.DefaultValueFactory = _ => value;
        }

        return option;
    }

    /// <summary>One of a few words.</summary>
    public static Option<string?> Word(string name, string help, string[] words, string? value = null)
    {
        var option = Text(name, help, string.Join('|', words), value);
        option.CustomParser = result => words.Contains(Token(result))
            ? Token(result)
            : throw Refuse(name, result, "one of " + string.Join(", ", words), $"{name} {words[0]}");
        return option;
    }

    /// <summary>A text that may be given several times.</summary>
    public static Option<string[]> Texts(string name, string help, string unit) => new(name)
    {
        Description = help + " May be repeated.",
        HelpName = unit,
        AllowMultipleArgumentsPerToken = false,
    };

    /// <summary>A switch.</summary>
    public static Option<bool> Switch(string name, string help) => new(name) { Description = help };

    /// <summary>"name=number" pairs.</summary>
    public static Dictionary<string, double> Pairs(string option, IEnumerable<string> texts)
    {
        var pairs = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            var (name, value) = Pair(option, text, "stories=0.3");
            Guard.Require(
                double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                && double.IsFinite(number) && number >= 0 && pairs.TryAdd(name, number),
                $"Read {option}", $"'{text}'", "name=number, each name once, no number below 0",
                $"Write it like {option} stories=0.3.");
        }

        return pairs;
    }

    /// <summary>The two sides of "name=value".</summary>
    public static (string Name, string Value) Pair(string option, string text, string example)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        Guard.Require(at > 0 && at < text.Length - 1, $"Read {option}", $"'{text}'", "name=value",
            $"Write it like {option} {example}.");
        return (text[..at], text[(at + 1)..]);
    }

    private static int ParseWhole(string name, ArgumentResult result, int least, int most)
    {
        const NumberStyles style = NumberStyles.AllowLeadingSign;
        if (int.TryParse(Token(result), style, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most)
        {
            return value;
        }

        var range = most == int.MaxValue
            ? least == int.MinValue ? "a whole number" : $"a whole number of at least {least}"
            : $"a whole number from {least} to {most}";
        throw Refuse(name, result, range, $"{name} {Math.Max(1, least).ToString(CultureInfo.InvariantCulture)}");
    }

    private static double ParseNumber(string name, ArgumentResult result) =>
        double.TryParse(Token(result), NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Refuse(name, result, "a number with a point, such as 0.7", $"{name} 0.7");

    private static string Token(ArgumentResult result) => result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";

    private static PtpException Refuse(string name, ArgumentResult result, string expected, string example) =>
        new($"Read {name}", $"'{Token(result)}'", expected, $"Write it like {example}.");
}
