// ptp study mtp-depth: how acceptance decays with depth when one module is applied again and again (DeepSeek-V3 against Nemotron 3).
//   P(token k of the draft right | those before it right): a module trained for depth 1 alone and applied recursively; a module per depth;
//   one module trained unrolled over its own states. All three are the heads that come with ptp: the first is DeepSeek's first module alone.
// Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Depth decay.</summary>
internal static class MtpDepthStudy
{
    private const int Depths = 6;
    private const int Texts = 128;
    private const int MostTokens = 96;
    private const int Places = 3000;
    private static readonly SamplingOptions s_law = new() { Temperature = 0.7, TopP = 0.9 };

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var shelf = space.Heads(model);
        DraftHead Shipped(string name) => shelf.Find(name) ?? throw new PtpException(
            "Run a study", $"no folder models/heads/{name} here, in a folder above, or beside ptp", "the heads that come with ptp", "Run it inside the repository.");
        var (each, shared) = (Shipped(SequentialMtp.Architecture), Shipped(RecursiveMtp.Architecture));
        (string Name, DraftHead Head)[] heads =
        [
            ("module of depth 1 alone, applied recursively", Recursive(each)),
            ("a module per depth (DeepSeek)", each),
            ("one module, trained unrolled over 3 (Nemotron)", shared),
        ];
        var texts = BaseTexts.Written(model, s_law, space.Cases(Texts), space.Tokens(MostTokens));
        int[] depths = [.. Enumerable.Range(1, Depths)];
        var table = new StudyTable("Acceptance by depth",
            Invariant($"{texts.Count} texts of the embedded model, T {s_law.Temperature}, top-p {s_law.TopP}, the u that wrote them; {space.Cases(Places)} places; percent right where all tokens before are."),
            ["head", .. depths.Select(d => $"depth {d}"), "lost from 1 to last"]);
        var lines = new List<SvgLine>();
        foreach (var (name, head) in heads)
        {
            var accuracy = HeadCalibration.Accuracy(head, texts, s_law, BaseTexts.Rule, space.Cases(Places), seed: 5);
            double[] right = [.. accuracy.Select(ranks => 100 * ranks[0])];
            table.Row(name, [.. right.Select(r => Invariant($"{r:0.0}")), .. Enumerable.Repeat("", Depths - right.Length), Invariant($"{right[0] - right[^1]:0.0}")]);
            lines.Add(new SvgLine(name, [.. right.Select((r, i) => (i + 1.0, r))]));
            space.Note(name);
        }

        space.Write("mtp-depth", table.Note(
            "Published: a module of depth 1 applied recursively loses about 30 points at depth 2 and more; trained with shared weights over its own states it does not (a character model: .55, .56, .56).")
            .ToString(), SvgPlot.Draw("Right given the path before (embedded model)", "depth", "percent", lines));
    }

    /// <summary>The first module of a sequential head as a recursive one.</summary>
    internal static RecursiveMtp Recursive(DraftHead sequential)
    {
        var recursive = new RecursiveMtp(sequential.Network, sequential.Options with { Slots = Depths });
        foreach (var parameter in recursive.Parameters)
        {
            sequential.Network.Backend.Copy(sequential.Parameters.Single(p => p.Name == parameter.Name).Value, parameter.Value);
            parameter.Changed();
        }

        return recursive;
    }
}
