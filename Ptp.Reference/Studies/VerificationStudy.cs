// ptp study verification: speed against faithfulness of verification rules, on the models that come with ptp (follow-up, table 7.2).
//   per rule: tokens per call, ms per token, q-bar, PPL, p_align under the sampling law, gzip ratio; texts begin from nothing, a seed each
// Only tokens per call say something about other models; the ranking is what can be compared. Refuses: to run without the models.

using System.Text;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Rules of verification compared.</summary>
internal static class VerificationStudy
{
    private const int Texts = 60;
    private const int Tokens = 128;
    private static readonly string[] s_rules =
    [
        "exact", "ratio", "ratio:10,0", "nucleus:0.9", "nucleus:0.98", "entropy:0.09,0.3", "entropy:0.09,0.3 or exact", "threshold:0.1",
        "threshold:0.5", "top-k:3", "confidence:0.9", "first:2", "first:4", "self:exact",
    ];

    private sealed record Figures(
        double TokensPerCall, double Milliseconds, double MeanProbability, double Perplexity, double Align, double Gzip);

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var folder = ModelChoice.Default(ModelChoice.Ptp) ?? throw new PtpException(
            "Run a study", "no folder models/ptp here, in a folder above, or beside ptp", "the adapter that comes with ptp", "Run it inside the repository.");
        var ptp = PtpAdapter.Load(folder, model.Model, model.Fingerprint);
        var (texts, tokens) = (space.Cases(Texts), space.Tokens(Tokens));
        var rows = new List<(string Name, string Promise, Figures Figures)>
        {
            ("token by token", "is the reference", Measure(space, model, ptp, new Autoregressive(model.Model, ptp.Law, ptp.Rule), texts)),
            ("draft tree of 16, exact", "path", Measure(
                space, model, ptp, new TreeDecoding(model.Model, new CategoricalTreeDrafter(ptp), ptp.Law, ptp.Rule), texts)),
        };
        foreach (var name in s_rules)
        {
            var rule = VerificationRule.Parse(name);
            IDecoder decoder = rule.AsksTheBase
                ? new DraftAndVerify(model.Model, ptp.NewDrafter(), rule, ptp.Law, ptp.Rule, own: ptp)
                : new DraftAlone(model.Model, ptp.NewDrafter(), rule, ptp.Law, ptp.Rule);
            rows.Add((name, rule.Guarantee.ToString().ToLowerInvariant(), Measure(space, model, ptp, decoder, texts)));
            space.Note(name);
        }

        var table = new StudyTable("Verification rules: tokens per call against faithfulness",
            Invariant($"{texts} texts of at most {tokens} tokens from the embedded model, T {ptp.Law.Temperature}, top-p {ptp.Law.TopP}, drafts of {ptp.Slots}."),
            "rule", "promise", "tokens per call", "ms per token", "q-bar %", "PPL", "p_align", "gzip");
        foreach (var (name, promise, f) in rows)
        {
            table.Row(name, promise, Invariant($"{f.TokensPerCall:0.00}"), Invariant($"{f.Milliseconds:0.00}"), Invariant($"{f.MeanProbability:0.0}"),
                Invariant($"{f.Perplexity:0.00}"), f.Align < 1e-3 ? "< 0.001" : Invariant($"{f.Align:0.000}"), Invariant($"{f.Gzip:0.00}"));
        }

        space.Write("verification", table.ToString(), SvgPlot.Draw("Verification rules: one line per rule, from plain decoding", "tokens per call", "q-bar (%)",
            [.. rows.Skip(1).Take(6).Select(r => new SvgLine(
                r.Name, [(rows[0].Figures.TokensPerCall, rows[0].Figures.MeanProbability), (r.Figures.TokensPerCall, r.Figures.MeanProbability)]))]));
    }

    private static Figures Measure(StudySpace space, ModelChoice model, SlotModel ptp, IDecoder decoder, int texts)
    {
        var session = new ModelSession(model.Model, ptp.Law, ptp.Rule);
        var (answers, surprises, stats, all) = (new List<double[]>(), new List<TokenSurprise>(), new DecodeStats(), new StringBuilder());
        for (var i = 0; i < texts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            int[] prompt = model.Encode("");
            var decoded = decoder.Decode(prompt, Auxiliaries.FromSeed(7_000 + (ulong)i, ptp.NumbersPerToken), new DecodeLimits(space.Tokens(Tokens), model.EndTokens));
            stats.Add(decoded.Stats);
            all.Append(model.Tokenizer.Decode(decoded.Tokens));
            session.Start(prompt);
            session.Verify([prompt[^1], .. decoded.Tokens[..^1]]);
            answers.Add([.. decoded.Tokens.Select((token, row) => LogProbability(session.Logits(row), token))]);
            surprises.AddRange(decoded.Tokens.Select((token, row) => Faithfulness.Surprise(token, session.Law(row))));
        }

        return new Figures(
            stats.TokensPerCall, stats.MillisecondsPerToken, Faithfulness.MeanProbability(answers), Faithfulness.Perplexity(answers), Faithfulness.Align(surprises).PValue,
            Faithfulness.GzipRatio(all.ToString()));
    }

    /// <summary>ln p of a token under the base's own law, at temperature 1.</summary>
    private static double LogProbability(ReadOnlySpan<float> logits, int token)
    {
        var (most, sum) = (logits[0], 0.0);
        foreach (var logit in logits)
        {
            most = Math.Max(most, logit);
        }

        foreach (var logit in logits)
        {
            sum += Math.Exp(logit - most);
        }

        return logits[token] - most - Math.Log(sum);
    }
}
