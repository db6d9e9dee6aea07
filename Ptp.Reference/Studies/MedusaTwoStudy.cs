// ptp study medusa-2: what it is worth that the base learns with its heads (Medusa-2, Cai et al. 2024), and what it costs.
//   both begin as the shipped base with Medusa-1's heads and take as many steps on the same texts: heads alone, or with the base (lambda 0.2,
//   heads at four times its rate, a quarter of the steps alone). Texts are the base's own at temperature 1, whose best law is the base itself.
// Medusa-2's texts equal plain decoding of the TUNED base; how far that is from the base is told. Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Heads with and without their base.</summary>
internal static class MedusaTwoStudy
{
    private const int Steps = 300;
    private const int Texts = 512;
    private const int MostTokens = 96;
    private const int Measured = 32;
    private const int Prompt = 32;
    private const int Nodes = 32;
    private const int Places = 2000;
    private static readonly SamplingOptions s_own = new() { Temperature = 1 };
    private static readonly SamplingOptions s_law = new() { Temperature = 0.7 };
    private static readonly SamplingOptions s_greedy = new() { Temperature = 0 };

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var tuned = ModelChoice.Load(null, null, space.Backend);
        var shipped = space.Heads(model).Find(Medusa.Architecture) ?? throw new PtpException(
            "Run a study", "no folder models/heads/medusa here, in a folder above, or beside ptp", "the heads that come with ptp", "Run it inside the repository.");
        var (start, tokens) = (space.Tokens(Prompt), space.Tokens(MostTokens));
        var prompts = BaseTexts.Written(model, s_own, space.Cases(Measured), start + tokens);
        var alone = Trained("medusa-1", model, space.Steps(Steps));
        var joint = Trained("medusa-2", tuned, space.Steps(Steps) / 4);
        var table = new StudyTable("Medusa-1 and Medusa-2 on the embedded model",
            Invariant($"Effort {space.Effort}; {space.Steps(Steps)} steps of at most 384 rows behind the shipped heads; {prompts.Count} texts, {tokens} tokens behind prompts of {start}; trees of at most {Nodes} rows, calibrated anew; tokens per call. Right: percent at T 0.7 where the tokens before are. Nats: of the base's own texts at T 1, per token."),
            "heads", "tree, T 0", "tree, T 0.7", "right at depth 1", "2", "3", "4", "nats", "texts of the base kept, T 0");
        (string Name, double[] Right, double[] Calls)[] rows = [Row("medusa-1: heads alone", model, alone), Row("medusa-2: base and heads", tuned, joint)];
        table.Row("medusa-2 / medusa-1", [.. rows[0].Calls.Zip(rows[1].Calls, (a, b) => Invariant($"{b / a:0.00}")), "", "", "", "", "", ""]);
        space.Write("medusa-2", table.Note(
            "Published (Vicuna-7B, MT-Bench, time): Medusa-1 2.18 times plain decoding, Medusa-2 2.83 (1.30 times as much). Its promise holds against the tuned base, not against the one it came from.")
            .ToString(), SvgPlot.Draw("Right given the path before (T 0.7)", "depth", "percent",
            [.. rows.Select(row => new SvgLine(row.Name, [.. row.Right.Select((r, i) => (i + 1.0, r))]))]));

        Medusa Trained(string name, ModelChoice own, int headsAlone)
        {
            var heads = new Medusa(own.Model, shipped.Options);
            foreach (var (from, to) in shipped.Parameters.Zip(heads.Parameters))
            {
                space.Backend.Copy(from.Value, to.Value);
                to.Changed();
            }

            var trainsBase = own == tuned;
            space.Module(name, [.. trainsBase ? own.Model.Parameters : [], .. heads.Parameters], space.Steps(Steps), () => new JointTraining(
                own.Model, heads, BaseTexts.Written(model, s_own, space.Cases(Texts), MostTokens, BaseTexts.TrainingSeed), JointTrainingOptions.MedusaTwo with
                {
                    Rows = 384,
                    HeadsAlone = trainsBase ? headsAlone : int.MaxValue,
                    Rate = new LearningRate { Peak = 2e-4, WarmUp = 20, Steps = space.Steps(Steps), FinalFraction = 0.1 },
                    Optimiser = new AdamWOptions { WeightDecay = 0 },
                }).Step);
            own.Model.SetTrainable(false);
            return heads;
        }

        (string, double[], double[]) Row(string name, ModelChoice own, Medusa heads)
        {
            var texts = BaseTexts.Written(own, s_law, space.Cases(Measured) * 2, start + tokens);
            var accuracy = HeadCalibration.Accuracy(heads, texts, s_law, BaseTexts.Rule, space.Cases(Places), seed: 5);
            var shape = TreeShape.Best(accuracy, Nodes - 1);
            var (greedy, kept) = PerCall(s_greedy);
            double[] calls = [greedy, PerCall(s_law).Calls];
            double[] right = [.. accuracy.Select(ranks => 100 * ranks[0])];
            table.Row(name, [.. calls.Select(c => Invariant($"{c:0.00}")), .. right.Take(4).Select(r => Invariant($"{r:0.0}")),
                Invariant($"{Nats(space, own.Model, prompts):0.000}"), Invariant($"{kept} of {prompts.Count}")]);
            space.Note(name);
            return (name, right, calls);

            (double Calls, int Kept) PerCall(SamplingOptions law)
            {
                var (stats, same) = (new DecodeStats(), 0);
                var limits = new DecodeLimits(tokens, []);
                var trees = new TreeDecoding(own.Model, new HeadTreeDrafter(heads, BaseTexts.Rule, shape), law, BaseTexts.Rule, Nodes);
                var (ownPlain, basePlain) = (new Autoregressive(own.Model, law, BaseTexts.Rule), new Autoregressive(shipped.Network, law, BaseTexts.Rule));
                foreach (var text in prompts)
                {
                    space.Cancellation.ThrowIfCancellationRequested();
                    var prompt = text.Tokens[..Math.Min(start, text.Tokens.Length)];
                    var decoded = trees.Decode(prompt, text.U, limits);
                    stats.Add(decoded.Stats);
                    Guard.Require(decoded.Tokens.SequenceEqual(ownPlain.Decode(prompt, text.U, limits).Tokens), "Decode with heads",
                        "another text than plain decoding of the same base", "the same", "This is a defect; please report it.");
                    same += decoded.Tokens.SequenceEqual(basePlain.Decode(prompt, text.U, limits).Tokens) ? 1 : 0;
                }

                return (stats.TokensPerCall, same);
            }
        }
    }

    /// <summary>-log P per token of texts under a model.</summary>
    private static double Nats(StudySpace space, Transformer model, IReadOnlyList<Completion> texts)
    {
        var (tape, loss, count) = (new Tape(space.Backend), 0.0, 0.0);
        foreach (var text in texts)
        {
            tape.Reset();
            var (own, _, targets) = JointTraining.Losses(tape, model, null, new PackedTexts([text]), 0);
            (loss, count) = (loss + own, count + targets);
        }

        return loss / count;
    }
}
