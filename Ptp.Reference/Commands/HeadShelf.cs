// The trained heads of a model: those that come with ptp, and those so quickly trained that they do not.
// The latter are trained when a system first asks for them, on what the base writes by itself, and kept in the user's folder for programs' data.
// Refuses: heads of another base.

using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Finds heads by name.</summary>
/// <param name="call">The run, for progress.</param>
/// <param name="model">The base.</param>
/// <param name="folder">Folder with a folder per head, 'none', or null for what comes with the default model.</param>
/// <param name="isDefault">True if the base is the default model.</param>
internal sealed class HeadShelf(Call call, ModelChoice model, string? folder, bool isDefault)
{
    private const int Texts = 512;
    private const int PerShard = 64;
    private const int TextTokens = 96;
    private const int Steps = 400;

    /// <summary>The law of the embedded adapters, and the rule of the default one.</summary>
    private static readonly SamplingOptions s_law = new() { Temperature = 0.7, TopP = 0.9 };
    private static readonly PickRule s_rule = PickRule.Parse("race:46");

    private readonly Dictionary<string, DraftHead?> _found = [];

    /// <summary>The head of a name, or null.</summary>
    public DraftHead? Find(string name)
    {
        if (!_found.TryGetValue(name, out var head))
        {
            var trains = folder is null && isDefault;
            var shelf = ModelChoice.Shelf(folder, "heads", isDefault);
            string[] places = [.. shelf is null ? (string[])[] : [Path.Combine(shelf, name)], .. trains ? (string[])[Own(name)] : []];
            var place = places.FirstOrDefault(HeadFolder.Exists);
            head = place is not null && !HeadRun.Resumes(place) ? HeadFolder.Load(place, model.Model, model.Fingerprint).Head
                : trains && DraftHeads.IsQuick(name) ? Train(name)
                : null;
            _found[name] = head;
        }

        return head;
    }

    private string Own(string name) => Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create), "ptp", "heads",
        model.Fingerprint, name);

    private DraftHead? Train(string name)
    {
        var output = Own(name);
        call.Out.Note(Invariant($"{name} is trained at its first use and kept in {output}"));
        var options = new TeacherCompletionOptions
        {
            Folder = Path.Combine(Path.GetDirectoryName(output)!, "completions"),
            Shards = Texts / PerShard,
            PerShard = PerShard,
            MaxNewTokens = TextTokens,
            Law = s_law,
        };
        IReadOnlyList<Completion> texts;
        using (var bar = new Progress(call.Out.Host, "texts"))
        {
            // Without a corpus, every prompt is the begin token alone.
            texts = TeacherCompletions.Make(
                options, model.Model, s_rule, [new WeightedDocuments("none", [[]], 1)],
                (done, total) => bar.Report(done, total, Invariant($"{done * PerShard} texts")), call.Cancellation);
        }

        var head = HeadRun.Resumes(output)
            ? HeadFolder.Load(output, model.Model, model.Fingerprint).Head
            : DraftHeads.Make(name, model.Model, DraftHeads.Defaults(name));
        using var steps = new TrainingInput.Steps(call, name, Steps);
        var complete = texts.Count > 0 && HeadRun.Run(new HeadRunOptions
        {
            Output = output,
            Architecture = name,
            Fingerprint = model.Fingerprint,
            BaseName = Path.GetFileName(Path.GetFullPath(model.Folder)),
            Law = s_law,
            Rule = s_rule,
            Rate = new LearningRate { Peak = 3e-3, WarmUp = 50, Steps = Steps, FinalFraction = 0.05 },
        }, head, texts, steps.Take, call.Cancellation);
        return complete ? head : null;
    }
}
