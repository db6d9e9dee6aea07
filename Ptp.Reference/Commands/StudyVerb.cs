// ptp study: the paper's experiments, and effects that the family's papers report, at a size that a laptop trains, each one command: models, a table in Markdown, a plot in SVG.
// Every model is trained once per folder, so a stopped study goes on; --effort scales all training lengths.
// Refuses: unknown names, a folder begun with another effort.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Reference.Studies;

namespace Ptp.Reference.Commands;

/// <summary>Runs a study.</summary>
internal sealed class StudyVerb : Verb
{
    private static readonly Dictionary<string, Action<StudySpace>> s_studies = new()
    {
        ["horizon"] = HorizonStudy.Run,
        ["iat"] = InverseStudy.Run,
        ["candidates"] = CandidateStudy.Run,
        ["joint"] = JointStudy.Run,
        ["losses"] = LossStudy.Run,
        ["embeddings"] = EmbeddingStudy.Run,
        ["beta"] = BetaStudy.Run,
        ["pick-rules"] = PickRuleStudy.Run,
        ["draft-size"] = DraftSizeStudy.Run,
        ["incompatible"] = IncompatibleStudy.Run,
        ["pqd"] = BranchStudy.Run,
        ["flow-head"] = FlowHeadStudy.Run,
        ["verification"] = VerificationStudy.Run,
        ["induction"] = InductionStudy.Run,
        ["polynomials"] = PolynomialStudy.Run,
        ["hydra"] = HydraStudy.Run,
        ["medusa-2"] = MedusaTwoStudy.Run,
        ["mtp-depth"] = MtpDepthStudy.Run,
        ["coupling"] = CouplingStudy.Run,
    };

    private readonly Argument<string> _name = new("NAME") { Description = "One of: " + string.Join(", ", s_studies.Keys) + "." };
    private readonly Option<string?> _folder = Values.Text("--output", "Folder of models and results. Default: studies.", "FOLDER");
    private readonly Option<double> _effort = Values.Number(
        "--effort", "Factor on all training lengths; 1 is what docs/ show, 0.02 takes a minute.", 1);

    public StudyVerb()
        : base(
            "study",
            "Run one of the paper's or the family's experiments: train what it needs, measure, and write NAME.md and NAME.svg.",
            "ptp study horizon                   # correct tokens against the length of the draft",
            "ptp study losses --effort 0.5       # what slots are taught by, and on whose texts",
            "ptp study verification              # speed against faithfulness of verification rules, on the models that come with ptp",
            "ptp study iat --effort 0.1          # perplexity without a teacher, a tenth of the training")
    {
        _name.AcceptOnlyFromAmong([.. s_studies.Keys]);
        Add(_name);
        Add(_folder);
        Add(_effort);
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var name = call.Parsed.GetValue(_name)!;
        var folder = call.Get(_folder) ?? "studies";
        var space = new StudySpace(call, backend, folder, call.Get(_effort));
        try
        {
            s_studies[name](space);
        }
        catch (OperationCanceledException)
        {
            call.Out.Note("Stopped; finished models are kept, and the same command goes on from here.");
            return ErrorOutput.Stopped;
        }

        var table = Path.Combine(folder, name + ".md");
        call.Out.Line(File.ReadAllText(table));
        call.Out.Result(new JsonObject { ["study"] = name, ["table"] = table, ["plot"] = Path.Combine(folder, name + ".svg") });
        return ErrorOutput.Done;
    }
}
