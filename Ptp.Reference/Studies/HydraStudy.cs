// ptp study hydra: what it is worth that a head knows the tokens drafted before it (Hydra, Ankner et al. 2024, against Medusa).
//   same base, texts, steps and tree size; tokens per call with static trees and with chains, and P(right | path before right) by depth
// The heads are those that come with ptp, both trained for 1,200 steps on the same texts. Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Hydra and Medusa.</summary>
internal static class HydraStudy
{
    private const int Texts = 48;
    private const int Prompt = 32;
    private const int MostTokens = 96;
    private const int Nodes = 32;
    private const int Places = 2000;
    private static readonly SamplingOptions s_law = new() { Temperature = 0.7 };
    private static readonly SamplingOptions s_greedy = new() { Temperature = 0 };

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var shelf = space.Heads(model);
        var (prompt, tokens) = (space.Tokens(Prompt), space.Tokens(MostTokens));
        var texts = BaseTexts.Written(model, s_law, space.Cases(Texts), prompt + tokens);
        var table = new StudyTable("Heads that know the draft so far, and heads that do not",
            Invariant($"{texts.Count} texts of the embedded model, {tokens} tokens behind prompts of {prompt}; trees of at most {Nodes} rows in the shape that each head was calibrated to; tokens per call (the verifying one is all there is). Right: percent at T 0.7 where the tokens before are."),
            "heads", "tree, T 0", "tree, T 0.7", "chain, T 0", "chain, T 0.7", "right at depth 1", "2", "3", "4");
        var lines = new List<SvgLine>();
        var all = new List<double[]>();
        foreach (var name in (string[])[Medusa.Architecture, Hydra.Architecture])
        {
            var head = shelf.Find(name) ?? throw new PtpException(
                "Run a study", $"no folder models/heads/{name} here, in a folder above, or beside ptp", "the heads that come with ptp", "Run it inside the repository.");
            var shape = TreeShape.Best([.. head.Accuracy!], Nodes - 1);
            double Measured(ITreeDrafter drafter, SamplingOptions law) => PerCall(
                space, texts, new TreeDecoding(model.Model, drafter, law, BaseTexts.Rule, Nodes));
            ITreeDrafter Tree() => new HeadTreeDrafter(head, BaseTexts.Rule, shape);
            ITreeDrafter Chain() => new ChainTree(new HeadChainDrafter(head, BaseTexts.Rule));
            double[] calls = [Measured(Tree(), s_greedy), Measured(Tree(), s_law), Measured(Chain(), s_greedy), Measured(Chain(), s_law)];
            double[] right = [.. HeadCalibration.Accuracy(head, texts, s_law, BaseTexts.Rule, space.Cases(Places), seed: 5).Select(ranks => 100 * ranks[0])];
            table.Row(name, [.. calls.Select(c => Invariant($"{c:0.00}")), .. right.Take(4).Select(r => Invariant($"{r:0.0}"))]);
            lines.Add(new SvgLine(name, [.. right.Select((r, i) => (i + 1.0, r))]));
            all.Add(calls);
            space.Note(name);
        }

        table.Row("hydra / medusa", [.. all[0].Zip(all[1], (medusa, hydra) => Invariant($"{hydra / medusa:0.00}")), "", "", "", ""]);
        space.Write("hydra", table.Note(
            "Published tokens per call, Vicuna-7B: Spec-Bench, T 0: Medusa 2.31, Hydra 3.26 (1.41 times as many); PTP's table, T 0.7: 2.36 and 3.37 (1.43).").ToString(),
            SvgPlot.Draw("Right given the path before (T 0.7)", "depth", "percent", lines));
    }

    private static double PerCall(StudySpace space, IReadOnlyList<Completion> texts, IDecoder decoder)
    {
        var stats = new DecodeStats();
        foreach (var text in texts.Where(t => t.Tokens.Length > space.Tokens(Prompt)))
        {
            space.Cancellation.ThrowIfCancellationRequested();
            stats.Add(decoder.Decode(text.Tokens[..space.Tokens(Prompt)], text.U, new DecodeLimits(space.Tokens(MostTokens), [])).Stats);
        }

        return stats.TokensPerCall;
    }
}
