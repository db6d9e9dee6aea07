// What every source file promises: at most 400 lines, an opening comment, one softmax, no trace of a workplace.
// Source: the repository's own conventions; PAPER.md and README.md for the map and the commands.
// Not here: formatting and analyzers, which the build enforces.

using System.Reflection;
using System.Text.RegularExpressions;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Repository;

public sealed partial class SourceTests
{
    private const int MostLines = 400;
    private static readonly string[] s_projects = ["Ptp.Core", "Ptp.Gpu", "Ptp.Reference", "Ptp.Bench", "Ptp.Tests"];
    private static readonly string[] s_textFiles = [".cs", ".csproj", ".props", ".md", ".json", ".sh", ".yml"];
    private static readonly string[] s_generated = ["artifacts", "bin", "obj", ".git", "models", "benchmarks"];

    [Fact]
    public void No_source_file_has_more_than_400_lines() => Empty(
        Sources().Where(file => Lines(file).Length > MostLines).Select(file => $"{Name(file)}: {Lines(file).Length} lines"));

    [Fact]
    public void Every_source_file_opens_with_what_it_is() => Empty(
        Sources().Where(file => Lines(file).TakeWhile(line => line.StartsWith("//", StringComparison.Ordinal)).Count() < 2)
            .Select(Name));

    [Fact]
    public void No_file_names_a_workplace() => Empty(
        from file in Files(TestData.RepositoryRoot)
        where s_textFiles.Contains(Path.GetExtension(file)) && Path.GetFileName(file) != nameof(SourceTests) + ".cs"
        from line in Lines(file).Select((text, index) => (text, index))
        where Workplace().IsMatch(line.text)
        select $"{Name(file)}:{line.index + 1}: {line.text.Trim()}");

    // Ptp.Bench measures ours against it.
    [Fact]
    public void Only_our_own_softmax_is_called() => Empty(
        Sources().Where(file => Path.GetFileName(file) != nameof(SourceTests) + ".cs" && !Name(file).StartsWith("Ptp.Bench/", StringComparison.Ordinal))
            .Where(file => Code(file).Any(line => line.Contains("TensorPrimitives.SoftMax", StringComparison.Ordinal))).Select(Name));

    [Fact]
    public void Nothing_is_left_to_do_in_comments() => Empty(
        Sources().Where(file => Path.GetFileName(file) != nameof(SourceTests) + ".cs")
            .Where(file => Lines(file).Any(line => Unfinished().IsMatch(line))).Select(Name));

    [DocumentFact("PAPER.md")]
    public void Every_object_of_the_paper_is_a_row_of_the_map()
    {
        var rows = Rows().Select(cells => cells[0]).ToArray();
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static
            | BindingFlags.DeclaredOnly;
        var types = typeof(PaperAttribute).Assembly.GetTypes();
        var named = types.Concat(types.SelectMany(type => type.GetMembers(all)))
            .SelectMany(member => member.GetCustomAttributes<PaperAttribute>(false)).Select(paper => paper.Reference)
            .Distinct().Order(StringComparer.Ordinal).ToArray();
        Assert.True(named.Length >= 8, "Most of the paper has lost its attributes.");
        Assert.Equal(named, rows.Order(StringComparer.Ordinal));
    }

    [DocumentFact("PAPER.md")]
    public void Every_file_and_test_of_the_map_exists()
    {
        Empty(Rows().SelectMany(cells => cells[1..3]).Where(path => !Exists(path)));
        // The attribute stands in the file that the row names, and the test in a class of tests.
        Empty(Rows().Where(cells => Exists(cells[1])
            && !File.ReadAllText(Full(cells[1])).Contains($"[Paper(\"{cells[0]}\")]", StringComparison.Ordinal))
            .Select(cells => cells[0]));
        Empty(Rows().Where(cells => !cells[2].StartsWith("Ptp.Tests/", StringComparison.Ordinal)).Select(cells => cells[2]));
    }

    [DocumentFact("README.md", "dotnet run")]
    public void The_readme_shows_how_to_start()
    {
        var text = File.ReadAllText(Full("README.md"));
        var commands = Fenced().Matches(text).SelectMany(match => match.Groups[1].Value.Split('\n'))
            .Where(line => line.StartsWith("dotnet ", StringComparison.Ordinal)).ToArray();
        Assert.Contains(commands, command => command.Contains("-- demo", StringComparison.Ordinal));
        Assert.Contains(commands, command => command.StartsWith("dotnet test", StringComparison.Ordinal));
        Empty(commands.SelectMany(command => CommandPath().Matches(command).Select(match => match.Groups[1].Value))
            .Where(path => !Exists(path)));
        // models/ is written by its recipe, and may be left out of a package of the source.
        Empty(RelativeLink().Matches(text).Select(match => match.Groups[1].Value)
            .Where(path => !path.StartsWith("models/", StringComparison.Ordinal) && !Exists(path)));
    }

    [Theory]
    [InlineData("see " + "/wo" + "rk/main for more", true)]
    [InlineData("fixes iss" + "ue #12", true)]
    [InlineData("C:" + @"\Users\me", true)]
    [InlineData("the work of others, an issue of taste", false)]
    public void Control_the_pattern_knows_a_workplace(string line, bool found) =>
        Assert.Equal(found, Workplace().IsMatch(line));

    private static void Empty(IEnumerable<string> findings) => Assert.Equal("", string.Join('\n', findings));

    /// <summary>Cells of the map's rows: paper, file, test, notation.</summary>
    private static string[][] Rows() =>
    [
        .. File.ReadAllLines(Full("PAPER.md")).Where(line => line.StartsWith('|')).Skip(2)
            .Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries)),
    ];

    private static string Full(string path) => Path.Combine(TestData.RepositoryRoot, path);

    private static bool Exists(string path) => Path.Exists(Full(path));

    private static IEnumerable<string> Sources() => s_projects.Select(Full).Where(Directory.Exists).SelectMany(Files)
        .Where(file => file.EndsWith(".cs", StringComparison.Ordinal));

    private static IEnumerable<string> Files(string folder) => Directory.EnumerateFiles(folder).Concat(
        Directory.EnumerateDirectories(folder).Where(inner => !s_generated.Contains(Path.GetFileName(inner))).SelectMany(Files));

    private static string Name(string file) => Path.GetRelativePath(TestData.RepositoryRoot, file).Replace('\\', '/');

    private static string[] Lines(string file) => File.ReadAllLines(file);

    private static IEnumerable<string> Code(string file) =>
        Lines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal));

    [GeneratedRegex(@"/work/|/home/\w|\\Users\\|bash_jobs|\bissue #\d|\bPR #\d")]
    private static partial Regex Workplace();

    [GeneratedRegex(@"//.*\b(TODO|FIXME|HACK|XXX)\b")]
    private static partial Regex Unfinished();

    [GeneratedRegex("```[a-z]*\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Fenced();

    [GeneratedRegex(@"(?:--project|test|run) ([\w.]+(?:/[\w.-]+)*\.(?:sln|csproj|cs)|Ptp\.\w+)")]
    private static partial Regex CommandPath();

    [GeneratedRegex(@"\]\(([\w./-]+\.md)\)")]
    private static partial Regex RelativeLink();
}

/// <summary>A fact about a document of the repository; skips, with a reason, until it is written.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DocumentFactAttribute : FactAttribute
{
    public DocumentFactAttribute(string document, string holds = "")
    {
        (Document, Holds) = (document, holds);
        var path = Path.Combine(TestData.RepositoryRoot, document);
        if (!File.Exists(path) || !File.ReadAllText(path).Contains(holds, StringComparison.Ordinal))
        {
            Skip = $"{document} is not written yet.";
        }
    }

    public string Document { get; }

    public string Holds { get; }
}
