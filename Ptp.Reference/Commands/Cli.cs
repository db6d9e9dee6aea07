// The command line: which verbs there are, how arguments become a run, how a run ends.
// Source: System.CommandLine parses; its error texts are turned into the four parts that every error of ours has.
// Refuses: response files (a prompt may begin with @) and bundled one-letter switches (there are none).

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Ptp.Core;

namespace Ptp.Reference.Commands;

/// <summary>Runs ptp.</summary>
internal static class Cli
{
    /// <summary>Runs ptp on writers: what tests call.</summary>
    public static int Run(string[] args, TextWriter stdout, TextWriter stderr) => Run(args, new CliHost(stdout, stderr));

    /// <summary>Runs ptp and returns its exit code.</summary>
    public static int Run(string[] args, CliHost host)
    {
        try
        {
            var parsed = Root(host).Parse(args, new ParserConfiguration
            {
                EnablePosixBundling = false,
                ResponseFileTokenReplacer = null,
            });
            if (parsed.Action is ParseErrorAction)
            {
                throw UsageError(parsed);
            }

            var code = parsed.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                Output = host.Out,
                Error = host.Error,
            });
            return code == ErrorOutput.Done && host.Cancellation.IsCancellationRequested ? ErrorOutput.Stopped : code;
        }
        catch (Exception e)
        {
            return ErrorOutput.Write(host, args.Contains("--json"), e);
        }
    }

    private static RootCommand Root(CliHost host)
    {
        var common = new CommonOptions();
        var root = new RootCommand(
            "ptp: Parallel Token Prediction. Train a small language model, teach it to answer several tokens per call, and "
            + "check that the text is the same, bit for bit, as one token at a time. Start with 'ptp demo'.");
        root.Add(common.Json);
        root.Add(common.Threads);
        root.Add(common.Device);
        root.Add(common.Precision);
        root.Add(new DemoVerb().On(host, common));
        root.Add(new GenerateVerb().On(host, common));
        root.Add(new EvalVerb().On(host, common));
        root.Add(new CompareVerb().On(host, common));
        root.Add(new SpecBenchVerb().On(host, common));
        root.Add(new CorpusVerb().On(host, common));
        root.Add(new Command("tokenizer", "Make tokenizers.") { new TokenizerTrainVerb().On(host, common) });
        root.Add(new TrainVerb().On(host, common));
        root.Add(new DistillVerb().On(host, common));
        root.Add(new IatVerb().On(host, common));
        root.Add(new TrainHeadVerb().On(host, common));
        root.Add(new CalibrateVerb().On(host, common));
        root.Add(new StudyVerb().On(host, common));
        root.Add(new Command("flow", "Normalizing flows.") { new FlowTrainVerb().On(host, common) });
        root.Add(new SoakVerb().On(host, common));
        root.Add(new CurveVerb().On(host, common));
        root.Add(new ExportVerb().On(host, common));
        root.Add(new Command("bench", "Measure this machine.")
        {
            new BenchCallsVerb().On(host, common),
            new BenchDecodeVerb().On(host, common),
        });
        root.Add(new InfoVerb().On(host, common));
        foreach (var option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction help } helpOption)
            {
                helpOption.Action = new TeachingHelp(help);
            }
        }

        root.SetAction(_ => root.Parse(["--help"]).Invoke(new InvocationConfiguration { Output = host.Out, Error = host.Error }));
        return root;
    }

    private static PtpException UsageError(ParseResult parsed)
    {
        var path = "ptp";
        for (var at = parsed.CommandResult; at.Parent is System.CommandLine.Parsing.CommandResult parent; at = parent)
        {
            path = path.Insert("ptp".Length, " " + at.Command.Name);
        }

        var received = string.Join(" ", parsed.Errors.Select(e => e.Message).Distinct()).TrimEnd('.');
        var known = parsed.CommandResult.Command.Subcommands.Select(c => c.Name)
            .Concat(Options(parsed).Select(o => o.Name)).ToList();
        var near = parsed.UnmatchedTokens.Select(token => Nearest(token, known)).OfType<string>().FirstOrDefault();
        return new PtpException(
            $"Run '{path}'", received, parsed.CommandResult.Command.Subcommands.Count > 0
                ? "one of the verbs " + string.Join(", ", parsed.CommandResult.Command.Subcommands.Select(c => c.Name))
                : $"the options of '{path}', each with its value",
            (near is null ? "" : $"Did you mean {near}? ") + $"See '{path} --help'.");
    }

    private static IEnumerable<Option> Options(ParseResult parsed)
    {
        for (System.CommandLine.Parsing.SymbolResult? at = parsed.CommandResult; at is not null; at = at.Parent)
        {
            if (at is System.CommandLine.Parsing.CommandResult command)
            {
                foreach (var option in command.Command.Options)
                {
                    yield return option;
                }
            }
        }
    }

    /// <summary>The known name at most two edits away.</summary>
    internal static string? Nearest(string typed, IEnumerable<string> known)
    {
        var best = known.Select(name => (Name: name, Edits: Edits(typed, name))).OrderBy(n => n.Edits).FirstOrDefault();
        return best.Name is not null && best.Edits <= 2 && best.Edits < typed.Length ? best.Name : null;
    }

    private static int Edits(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
