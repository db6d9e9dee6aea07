// Inverse autoregressive training (PTP section 3.5): a C-PTP model from data alone. Split a text at i; find the u that the model
// itself would need for t_i, t_{i+1}, ...; freeze them; teach the slots the tokens in one parallel pass:
//   L = - sum_{k>=i} log P_theta(t_k | t_<i, u_i..u_{k-1}), an upper bound of the NLL in the mean. Refuses: documents of one token.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Training;

namespace Ptp.Core.Paper;

/// <summary>Sizes and choices of inverse autoregressive training.</summary>
public sealed record InverseTrainingOptions
{
    /// <summary>Rows of a step, context and slots together; at least one text is taken.</summary>
    public int Rows { get; init; } = 1024;

    /// <summary>Most tokens predicted behind a split; 0 = to the text's end.</summary>
    public int Horizon { get; init; } = 16;

    /// <summary>Weight of a context token's own prediction (the autoregressive loss) against a predicted token's, 1 each by default.</summary>
    public double ContextWeight { get; init; } = 1;

    /// <summary>
    /// How much of a slot's lesson is the model's own next-token law behind the true tokens, taken as a constant, instead of the token:
    /// (1 - w) CE + w KL(P_theta(. | t_&lt;k) || P_theta(. | t_&lt;i, u_i..u_{k-1})). 0 = the paper's loss. Our addition: still no teacher, but a
    /// lesson without the noise of sampled tokens, from rows that learn their law long before slots learn to read u.
    /// </summary>
    public double OwnLawWeight { get; init; }

    /// <summary>b of the places Beta(b, b) in the cells; only 1 bounds the likelihood.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>True to find u by sweeps over all slots instead of one after the other; the numbers are the same.</summary>
    public bool Sweeps { get; init; }

    /// <summary>Seed of texts, splits and places.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>Trains categorical slots without a teacher: a network of their own from scratch, or gated slots on a frozen base.</summary>
[Paper("Inverse autoregressive training")]
public sealed class InverseAutoregressiveTraining
{
    private const double ColdestLaw = 0.1; // a law of temperature 0 has no gradient
    private readonly SlotModel _ptp;
    private readonly IReadOnlyList<int[]> _documents;
    private readonly InverseTrainingOptions _options;
    private readonly LearningRate _rate;
    private readonly Inversion _inversion;
    private readonly Tape _tape;

    /// <summary>A trainer.</summary>
    /// <param name="ptp">Categorical slots, alone or with a sampler head that reads tokens.</param>
    /// <param name="documents">Texts, each at least two tokens long and within the model's context.</param>
    /// <param name="options">Sizes.</param>
    /// <param name="optimiser">Constants of AdamW.</param>
    /// <param name="rate">Schedule.</param>
    public InverseAutoregressiveTraining(
        SlotModel ptp, IReadOnlyList<int[]> documents, InverseTrainingOptions options, AdamWOptions optimiser, LearningRate rate)
    {
        const string Asked = "Train by inversion";
        Guard.Require(documents.Count > 0 && documents.All(d => d.Length >= 2 && d.Length <= ptp.Network.Config.MaxContext), Asked,
            $"{documents.Count} documents, the shortest of {(documents.Count > 0 ? documents.Min(d => d.Length) : 0)} tokens",
            $"at least one, each of 2 to {ptp.Network.Config.MaxContext} tokens", "Cut or drop the others.");
        Guard.Require(options is { Rows: > 0, Horizon: >= 0, ContextWeight: >= 0, OwnLawWeight: >= 0 and <= 1, Beta: > 0 }, Asked, $"{options}",
            "positive sizes, weights of 0 or more, of the own law at most 1", "Correct the options.");
        (_ptp, _documents, _options, _rate) = (ptp, documents, options, rate);
        _inversion = new Inversion(ptp);
        ptp.Network.SetTrainable(!ptp.SharesBase);
        foreach (var parameter in ptp.Trained)
        {
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(ptp.Trained, optimiser);
        _tape = new Tape(ptp.Network.Backend) { Recording = true };
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on texts drawn afresh.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        var random = new RandomStream(_options.Seed, $"splits of step {step}");
        var texts = Draw(random);
        var noise = random.NextBits();
        var inferred = _options.Sweeps ? _inversion.Jacobi(texts, noise, _options.Beta) : _inversion.Sequential(texts, noise, _options.Beta);
        var (loss, predicted, weight) = Loss(texts, inferred);
        Backward();
        var rate = _rate.At(step);
        var norm = Optimiser.Step(rate, 1 / weight);
        return new StepReport(step, loss / weight, rate, norm, predicted);
    }

    /// <summary>One sample of the bound: minus the log-likelihood of each text's predicted tokens at u of a uniform place, [B].</summary>
    /// <remarks>exp of minus it is an unbiased estimate of P_theta(text | context); its mean is at least the NLL (Jensen).</remarks>
    public static double[] Bound(SlotModel ptp, SplitTexts texts, ulong noise)
    {
        var likelihood = new Inversion(ptp).Sequential(texts, noise).LogLikelihood;
        var place = 0;
        return [.. Enumerable.Range(0, texts.Texts.Count).Select(text =>
        {
            var sum = 0.0;
            for (var end = place + texts.Predicted(text); place < end; place++)
            {
                sum -= likelihood[place];
            }

            return sum;
        })];
    }

    /// <summary>Estimates P_theta(text | context), the volume of all u that write it, from several samples; [B].</summary>
    public static double[] Volume(SlotModel ptp, SplitTexts texts, int samples, ulong noise)
    {
        var volume = new double[texts.Texts.Count];
        for (var sample = 0; sample < samples; sample++)
        {
            foreach (var (text, bound) in Bound(ptp, texts, noise + ((ulong)sample << 48)).Index())
            {
                volume[text] += Math.Exp(-bound) / samples;
            }
        }

        return volume;
    }

    /// <summary>Replays the gradients of the last loss; the numbers are constants, so none goes through them.</summary>
    internal void Backward() => _tape.Backward();

    private SplitTexts Draw(RandomStream random)
    {
        var (texts, starts) = (new List<int[]>(), new List<int>());
        for (var rows = 0; rows == 0 || rows < _options.Rows;)
        {
            var document = _documents[random.NextInt(_documents.Count)];
            var start = 1 + random.NextInt(document.Length - 1);
            var end = _options.Horizon == 0 ? document.Length : Math.Min(document.Length, start + _options.Horizon);
            texts.Add(document[..end]);
            starts.Add(start);
            rows += end;
        }

        return new SplitTexts(texts, starts);
    }

    /// <summary>
    /// The parallel pass: contexts as tokens, the rest as frozen numbers; every row predicts the token after its place. Where slots learn from
    /// the model's own law, the rest stands there as tokens too, which no slot sees.
    /// </summary>
    internal (double Loss, int Predicted, double Weight) Loss(SplitTexts texts, InferredNumbers inferred)
    {
        var (network, ownLaw) = (_ptp.Network, (float)_options.OwnLawWeight);
        int Known(int text) => ownLaw > 0 ? texts.Texts[text].Length - 1 : texts.Starts[text];
        var batch = new DistillationBatch(
            [.. texts.Texts.Select((tokens, i) => new Completion(tokens[..Known(i)], 0, Auxiliaries.FromSeed(0, _ptp.NumbersPerToken)))],
            [], _ptp.NumbersPerToken, 1);
        var places = texts.Tokens().Where(p => p.Slot + 1 < texts.Predicted(p.Text)).ToArray();
        var (context, slots) = (batch.Ids.Length, places.Length);
        var visibility = batch.ContextVisibility();
        var (positions, targets, weights) = (new List<int>([.. batch.Positions]), new List<int>(), new List<float>());
        var first = new int[texts.Texts.Count];
        for (var (text, row) = (0, 0); text < first.Length; text++)
        {
            first[text] = row;
            for (var i = 1; i <= Known(text); i++, row++)
            {
                // The last context token's prediction is the first of the split's; those around it are the autoregressive loss.
                targets.Add(texts.Texts[text][i]);
                weights.Add(i == texts.Starts[text] ? 1f : (float)_options.ContextWeight);
            }
        }

        for (var row = 0; row < slots; row++)
        {
            var (text, slot) = places[row];
            visibility.AddRow(0, 0).AddRange(first[text], first[text] + texts.Starts[text]).AddRange(context + row - slot, context + row + 1);
            positions.Add(texts.Starts[text] + slot);
            targets.Add(texts.Texts[text][texts.Starts[text] + slot + 1]);
            weights.Add(1 - ownLaw);
        }

        _tape.Reset();
        var x = _tape.Empty(context + slots, network.Config.HiddenSize);
        _tape.Embedding(network.Embeddings, batch.Ids, x.Slice(0, context));
        if (slots > 0)
        {
            int[] last = [.. places.Select(p => texts.Texts[p.Text][texts.Starts[p.Text] - 1])];
            _ptp.Embed(_tape, Carried(texts, inferred), last, x.Slice(context, slots));
        }

        var hidden = network.Blocks(_tape, x, new CallRows([.. positions], visibility, gateStart: context), _ptp.Lora);
        var earlier = texts.Earlier(places, _ptp.Sampler?.History ?? 0);
        // A loss turns its logits into their gradient, so what is read twice is read before, or computed twice.
        var known = network.Logits(_tape, hidden.Slice(0, context));
        var own = ownLaw > 0 && slots > 0 ? network.Backend.Allocate(slots, known.Value.Columns) : null;
        if (own is not null)
        {
            // A slot's law and that of the row of the token whose number it carries are laws of the same token.
            network.Backend.Embedding(known.Value, [.. places.Select(p => first[p.Text] + texts.Starts[p.Text] + p.Slot)], own);
        }

        var loss = _tape.CrossEntropy(known, [.. targets[..context]], [.. weights[..context]]);
        if (slots > 0 && ownLaw < 1)
        {
            loss += _tape.CrossEntropy(_ptp.Logits(_tape, hidden.Slice(context, slots), earlier), [.. targets[context..]], [.. weights[context..]]);
        }

        if (own is not null)
        {
            var scale = (float)(1 / Math.Max(ColdestLaw, _ptp.Law.Temperature));
            loss += _tape.Divergence(
                _ptp.Logits(_tape, hidden.Slice(context, slots), earlier), own, scale, [.. Enumerable.Repeat(ownLaw, slots)]);
        }

        return (loss, texts.Count, weights.Sum(w => (double)w) + ownLaw * slots);
    }

    /// <summary>Numbers that slots carry: all but each text's last, [R * numbers per token].</summary>
    private float[] Carried(SplitTexts texts, InferredNumbers inferred)
    {
        var width = _ptp.NumbersPerToken;
        return [.. texts.Tokens().Index().Where(p => p.Item.Slot + 1 < texts.Predicted(p.Item.Text))
            .SelectMany(p => inferred.U.AsSpan(p.Index * width, width).ToArray())];
    }
}
