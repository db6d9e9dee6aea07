// What training verbs share: a prepared corpus as tokens with shares, progress of steps, and curves from the log.
// Shares: named corpora get theirs, the others share the rest by their number of tokens.
// Refuses: names that are not in the corpus, shares above one.

using System.Diagnostics;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Text;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Reads and reports for training.</summary>
internal static class TrainingInput
{
    /// <summary>Documents as tokens, one entry per corpus, with shares that sum to one.</summary>
    public static IReadOnlyList<WeightedDocuments> Tokens(
        Call call, IReadOnlyList<Document> documents, Tokenizer tokenizer, IReadOnlyDictionary<string, double> shares)
    {
        using var bar = new Progress(call.Out.Host, "tokens");
        var done = 0;
        var corpora = new List<WeightedDocuments>();
        foreach (var group in documents.GroupBy(d => d.Corpus))
        {
            var ids = new List<int[]>();
            foreach (var document in group)
            {
                call.Cancellation.ThrowIfCancellationRequested();
                ids.Add(tokenizer.Encode(document.Text));
                bar.Report(++done, documents.Count, Invariant($"{done} of {documents.Count} documents"));
            }

            corpora.Add(new WeightedDocuments(group.Key, ids, ids.Sum(d => (double)d.Length)));
        }

        return Shared(corpora, shares);
    }

    /// <summary>Replaces sizes by shares.</summary>
    internal static IReadOnlyList<WeightedDocuments> Shared(
        IReadOnlyList<WeightedDocuments> corpora, IReadOnlyDictionary<string, double> shares)
    {
        foreach (var name in shares.Keys)
        {
            Guard.Require(corpora.Any(c => c.Name == name), "Read --share", $"'{name}'",
                "a corpus of the folder: " + string.Join(", ", corpora.Select(c => c.Name)), "Name one of these.");
        }

        var named = shares.Values.Sum();
        var others = corpora.Where(c => !shares.ContainsKey(c.Name)).Sum(c => c.Share);
        Guard.Require(named <= 1 + 1e-9 && (named > 0 || others > 0), "Read --share",
            $"shares of {Guard.Text(named)} in all", "at most 1", "Lower some; corpora without a share divide the rest.");
        var scaled = corpora.Select(c => c with
        {
            Share = shares.TryGetValue(c.Name, out var share)
                ? others > 0 ? share : share / named
                : Math.Max(0, 1 - named) * c.Share / others,
        });
        return [.. scaled.Where(c => c.Share > 0 && c.Documents.Count > 0)];
    }

    /// <summary>Shows steps as they are taken and keeps what a summary needs.</summary>
    public sealed class Steps(Call call, string what, int total) : IDisposable
    {
        private readonly Progress _bar = new(call.Out.Host, what);
        private readonly long _start = Stopwatch.GetTimestamp();

        /// <summary>Rows trained on in this run.</summary>
        public long Tokens { get; private set; }

        /// <summary>The last step.</summary>
        public StepReport Last { get; private set; }

        /// <summary>Seconds of this run.</summary>
        public double Seconds => Stopwatch.GetElapsedTime(_start).TotalSeconds;

        /// <summary>Rows per second of this run.</summary>
        public double TokensPerSecond => Tokens / Math.Max(1e-9, Seconds);

        /// <summary>Takes a step.</summary>
        public void Take(StepReport report)
        {
            Last = report;
            Tokens += report.Tokens;
            _bar.Report(report.Step, total,
                Invariant($"step {report.Step}/{total}  loss {report.Loss:0.000}  {TokensPerSecond:0} tok/s"));
        }

        /// <inheritdoc/>
        public void Dispose() => _bar.Dispose();
    }

    /// <summary>Curves of a log: the loss of each step, smoothed, and held-out losses.</summary>
    public static IReadOnlyList<SvgLine> Curves(string log)
    {
        var lines = TrainingLog.Read(log);
        var curves = new List<SvgLine>();
        foreach (var name in lines.SelectMany(l => l.Keys).Distinct()
            .Where(k => k == "loss" || k.StartsWith("heldout_", StringComparison.Ordinal)))
        {
            var points = lines.Where(l => l.ContainsKey(name) && l.ContainsKey("step"))
                .Select(l => (l["step"], l[name])).ToList();
            curves.Add(new SvgLine(name.Replace("heldout_", "held-out ", StringComparison.Ordinal),
                name == "loss" ? SvgPlot.Smooth(points) : points));
        }

        return curves;
    }

    /// <summary>Lets a run go on only as it began; a fresh one, or one that overwrites, writes its record.</summary>
    public static void KeepRecord(string folder, bool overwrite, JsonObject options)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, RunRecord.Name);
        if (overwrite || !File.Exists(Path.Combine(folder, ModelCheckpoint.OptimiserName)))
        {
            File.Delete(path); // of a run that is over
        }

        RunRecord.Keep(path, $"Go on with the run in {folder}", options,
            "Repeat the options of the record to go on, or start anew with --overwrite or another --output.");
    }

    /// <summary>Refuses to write over a finished model.</summary>
    public static void RefuseOverwrite(string folder, string finishedFile, bool overwrite)
    {
        var unfinished = Path.Combine(folder, ModelCheckpoint.OptimiserName);
        if (overwrite)
        {
            if (File.Exists(unfinished))
            {
                File.Delete(unfinished); // else the old run would be resumed
            }

            return;
        }

        Guard.Require(File.Exists(unfinished) || !File.Exists(Path.Combine(folder, finishedFile)), "Train",
            $"'{folder}', which holds a finished model", "a new folder, or one with an unfinished run to go on with",
            "Choose another --output, or add --overwrite.");
    }
}
