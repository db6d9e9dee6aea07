// Measures a model and an adapter on held-out text: perplexity per corpus, and drafts accepted while continuing prompts.
// Prompts are the beginnings of held-out documents, evenly picked; text i has the auxiliaries of seed + i.
// Refuses: text too short for a single prompt. Figures are DecodeStats'; this file only adds and averages them.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>What was measured on one corpus, or on all.</summary>
internal sealed class EvaluationPart(string name)
{
    public string Name { get; } = name;

    /// <summary>Sum of next-token losses in nats.</summary>
    public double Loss { get; set; }

    /// <summary>Tokens that were predicted.</summary>
    public long Targets { get; set; }

    /// <summary>Decoding, pooled over texts.</summary>
    public DecodeStats Stats { get; } = new();

    /// <summary>Accepted per round of each text.</summary>
    public List<double> AcceptedByText { get; } = [];

    /// <summary>Drafted pairs that were checked, and how many the law forbids.</summary>
    public (long Checked, long Incompatible) Pairs { get; set; }

    /// <summary>exp of the mean loss.</summary>
    public double Perplexity => Targets == 0 ? double.NaN : Math.Exp(Loss / Targets);

    /// <summary>Share of pairs that the law forbids.</summary>
    public double IncompatibleRate => Pairs.Checked == 0 ? double.NaN : (double)Pairs.Incompatible / Pairs.Checked;

    /// <summary>Adds another part.</summary>
    public void Add(EvaluationPart other)
    {
        Loss += other.Loss;
        Targets += other.Targets;
        Stats.Add(other.Stats);
        AcceptedByText.AddRange(other.AcceptedByText);
        Pairs = (Pairs.Checked + other.Pairs.Checked, Pairs.Incompatible + other.Pairs.Incompatible);
    }
}

/// <summary>Runs the measurements.</summary>
/// <param name="call">The run.</param>
/// <param name="prompts">Prompts per corpus.</param>
/// <param name="promptTokens">Tokens of each, the begin token not counted.</param>
/// <param name="checkPairs">Whether to check drafted pairs.</param>
/// <param name="tree">Nodes of draft trees; null = chains.</param>
/// <param name="asPrinted">True to split a budget as the paper prints it.</param>
/// <param name="budget">Slots of a call with branches, 0 = as many as pay; null = drafts with error correction.</param>
internal sealed class Evaluation(Call call, int prompts, int promptTokens, bool checkPairs, int? budget, int? tree, bool asPrinted)
{
    /// <summary>Perplexity of each corpus, over at most <paramref name="limit"/> tokens of it.</summary>
    public static void Perplexity(
        ModelChoice model, IReadOnlyList<WeightedDocuments> corpora, IReadOnlyList<EvaluationPart> parts, int limit)
    {
        var boundary = LanguageModelRun.Boundary(model.Model.Config with
        {
            BeginToken = model.BeginToken,
            EndTokens = model.EndTokens,
        });
        for (var i = 0; i < parts.Count; i++)
        {
            var tokens = Math.Min(limit, corpora[i].Documents.Sum(d => d.Length + 1));
            parts[i].Loss = tokens * LanguageModelRun.HeldOutLoss(model.Model, corpora[i].Documents, boundary, tokens);
            parts[i].Targets = tokens;
        }
    }

    /// <summary>Continues prompts of every corpus; stops early, with what was done, when cancelled.</summary>
    public void Decode(
        Decoding decoding, IReadOnlyList<WeightedDocuments> corpora, IReadOnlyList<EvaluationPart> parts, string what)
    {
        PairRecorder? recorder = null;
        var decoder = budget is { } slots ? decoding.PartialQuadratic(slots, asPrinted)
            : tree is { } nodes ? decoding.Tree(nodes)
            : decoding.ErrorCorrected(checkPairs ? inner => recorder = new PairRecorder(inner) : null);
        var session = checkPairs ? new ModelSession(decoding.Model.Model, decoding.Law, decoding.Rule) : null;
        using var bar = new Progress(call.Out.Host, what);
        var chosen = corpora.Select(c => Chosen(c, prompts, promptTokens)).ToList();
        Guard.Require(chosen.Any(c => c.Count > 0), "Evaluate", $"no document with {promptTokens} tokens",
            "longer held-out documents", "Lower --prompt-tokens, or give other text with --data.");
        var (text, total) = (0, chosen.Sum(c => c.Count));
        for (var i = 0; i < parts.Count; i++)
        {
            foreach (var document in chosen[i])
            {
                if (call.Cancellation.IsCancellationRequested)
                {
                    return;
                }

                var piece = document[..promptTokens];
                int[] prompt = decoding.Model.BeginToken is { } begin ? [begin, .. piece] : piece;
                var decoded = decoder.Decode(prompt, decoding.U(text), decoding.Limits);
                parts[i].Stats.Add(decoded.Stats);
                parts[i].AcceptedByText.Add(decoded.Stats.AcceptedPerRound);
                if (recorder is not null)
                {
                    var bad = PairRecorder.CountIncompatible(session!, prompt, decoded.Tokens, recorder.Pairs);
                    var (pairs, incompatible) = parts[i].Pairs;
                    parts[i].Pairs = (pairs + recorder.Pairs.Count, incompatible + bad);
                }

                bar.Report(++text, total, Invariant($"{parts[i].Name}: {parts[i].Stats.AcceptedPerRound:0.00} accepted per round"));
            }
        }
    }

    /// <summary>Documents that are long enough for a prompt and something behind it, evenly picked.</summary>
    public static List<int[]> Chosen(WeightedDocuments corpus, int prompts, int promptTokens)
    {
        var usable = corpus.Documents.Where(d => d.Length > promptTokens).ToList();
        var count = Math.Min(prompts, usable.Count);
        return [.. Enumerable.Range(0, count).Select(i => usable[(int)((long)i * usable.Count / count)])];
    }
}
