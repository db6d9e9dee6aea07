// Distillation (PTP sections 3.1 to 3.3) over teacher completions with known u, many completions in one pass: pass 1 runs the
// context through the base into a cache, pass 2 all slots, each seeing its own context prefix and its own earlier slots.
//   O-PTP: L = - sum_k w_k log P_theta(t_k | t_<i, u_i..u_k);   C-PTP: L = sum_k w_k KL(Q_k || P_theta(. | t_<i, u_i..u_{k-1}))
// and the other losses of section 3.1 by name; tokens may come from the base, from a dataset or from the slots themselves (3.2).
// Refuses: gradients into a gated base.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Paper;

/// <summary>Trains the slots of a PTP model.</summary>
[Paper("Distillation")]
public sealed class Distillation
{
    private const int SureSlots = 2;
    private const int Alternatives = 8;
    private const double LeastChance = 1e-3; // of a token that is not among the alternatives
    private const double ColdestLaw = 0.1; // a law of temperature 0 has no gradient; this one has, and nearly the same tokens
    private readonly SlotModel _ptp;
    private readonly IReadOnlyList<Completion> _completions;
    private readonly DistillationOptions _options;
    private readonly DistillationLoss _loss;
    private readonly LearningRate _rate;
    private readonly Tape _context;
    private readonly Tape _slots;
    private readonly KvCache? _cache;
    private readonly DistillationBatch _batch;
    private readonly RandomStream _random = new(0, "starts");
    private readonly LogitsTransform _transform;
    private readonly float[] _law;
    private int[] _numbers = []; // cache slots of the context, or positions of a student's rows
    private Tensor? _known; // [S, D], hidden states of the last pass's context
    private Tensor? _teacher; // [R, V], logits of the base where a slot predicts a law

    /// <summary>A trainer; the adapter (or the whole student) becomes trainable, a gated base stays frozen.</summary>
    public Distillation(
        SlotModel ptp, IReadOnlyList<Completion> completions, DistillationOptions options, AdamWOptions optimiser,
        LearningRate rate)
    {
        Guard.Require(completions.Count > 0, "Distill", "no completions", "at least one", "Make completions first.");
        Guard.Require(options is { ContextTokens: > 0, SlotRows: > 0, Gamma: > 0 and <= 1, Continuation: > 0 and <= 1 },
            "Distill", $"{options}", "positive sizes, gamma and continuation in (0, 1]", "Correct the options.");
        _loss = options.Loss ?? (ptp.Reading == SlotReading.Categorical ? DistillationLoss.Divergence : DistillationLoss.CrossEntropy);
        Guard.Require(ptp.Reading == SlotReading.Categorical ? _loss != DistillationLoss.BinaryCrossEntropy
            : _loss is DistillationLoss.CrossEntropy or DistillationLoss.BinaryCrossEntropy, "Distill",
            $"{_loss} for {ptp.Reading} slots", "a token's loss for one-hot slots, a law's or cross-entropy for categorical ones",
            "Correct the loss.");
        Guard.Require(ptp.Flow is null, "Distill", "slots with a flow head", "slots alone", "Train the head by FlowHeadTraining; its slots stay as they are.");
        Guard.Require(ptp.SharesBase || _loss is DistillationLoss.CrossEntropy or DistillationLoss.BinaryCrossEntropy, "Distill",
            $"{_loss} in a student of its own", "a token's loss: its teacher's laws are not at hand", "Use CrossEntropy, or a gated adapter.");
        Guard.Require(options.InferredU is null || ptp.SharesBase, "Distill", "inferred u in a student of its own",
            "a gated adapter, whose base gives the laws", "Use texts with their u.");
        Guard.Require(options.Proposals == ProposalSource.Given || (options.InferredU is not null && ptp.Sampler is null), "Distill",
            "the student's own texts", "inferred u, and slots without a sampler head", "Set InferredU, or use given texts.");
        (_ptp, _completions, _options, _rate) = (ptp, completions, options, rate);
        ptp.Network.SetTrainable(!ptp.SharesBase);
        foreach (var parameter in ptp.Trained)
        {
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(ptp.Trained, optimiser);
        _batch = NewBatch();
        _law = new float[ptp.Network.Config.VocabularySize];
        _transform = new LogitsTransform(ptp.Law, _law.Length);
        _context = new Tape(ptp.Network.Backend);
        _slots = new Tape(ptp.Network.Backend) { Recording = true };
        _cache = ptp.SharesBase
            ? new KvCache(ptp.Network.Backend, ptp.Network.Config, options.ContextTokens)
            : null;
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh starts.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        _random.Restart(_options.Seed, "starts of step ", step);
        var batch = Draw(_batch, _random);
        if (_options.Proposals == ProposalSource.Student)
        {
            batch = Continued(batch, _random);
        }

        var (loss, weight) = Loss(batch, _random);
        Backward();
        var rate = _rate.At(step);
        var norm = Optimiser.Step(rate, 1 / weight);
        return new StepReport(step, loss / weight, rate, norm, batch.Targets.Length);
    }

    /// <summary>Weighted loss of a batch and the sum of its weights; gradients are recorded, not yet taken.</summary>
    /// <param name="batch">Texts and runs.</param>
    /// <param name="noise">Places u in its cells if it is inferred.</param>
    public (double Loss, double Weight) Loss(DistillationBatch batch, RandomStream noise)
    {
        var logits = Logits(batch, noise);
        var scale = (float)(1 / Math.Max(ColdestLaw, _ptp.Law.Temperature));
        var loss = _loss switch
        {
            DistillationLoss.CrossEntropy => _slots.CrossEntropy(logits, batch.Targets, batch.Weights),
            DistillationLoss.BinaryCrossEntropy => _slots.BinaryCrossEntropy(logits, batch.Targets, batch.Weights),
            DistillationLoss.Divergence => _slots.Divergence(logits, _teacher!, scale, batch.Weights),
            _ => _slots.ReverseDivergence(logits, _teacher!, scale, batch.Weights),
        };
        var sum = 0.0;
        foreach (var weight in batch.Weights)
        {
            sum += weight;
        }

        return (loss, Math.Max(1e-9, sum));
    }

    /// <summary>Replays the gradients of the last <see cref="Loss"/>.</summary>
    public void Backward() => _slots.Backward();

    /// <summary>
    /// Sets <see cref="SlotModel.PickSoftness"/> to what makes guesses right most often, given the true tokens before, and
    /// <see cref="SlotModel.Doubt"/> to what gives the right tokens the largest mean log chance: calibration, on fresh starts.
    /// </summary>
    /// <param name="batches">Batches to measure it on.</param>
    /// <remarks>Texts without their own u cannot tell; both then stay what they were.</remarks>
    public void Calibrate(int batches)
    {
        if (_options.InferredU is not null)
        {
            return;
        }

        double[] doubts = [0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1, 1.5];
        var (softness, chance) = (new SoftnessCount(_ptp.Rule), new double[doubts.Length]);
        Span<int> tokens = stackalloc int[Alternatives];
        Span<float> chances = stackalloc float[Alternatives];
        for (var i = 0; i < batches; i++)
        {
            var batch = Draw(NewBatch(), new RandomStream(_options.Seed, $"starts of softness {i}"));
            var logits = Logits(batch).Value;
            for (var row = 0; row < logits.Rows; row++)
            {
                ToLaw(_slots, logits, row);
                var u = batch.TargetU.Slice(row * _ptp.NumbersPerToken, _ptp.NumbersPerToken);
                softness.Add(u, _law, batch.Targets[row]);
                for (var c = 0; c < doubts.Length; c++)
                {
                    var best = new BestGuesses(tokens, chances);
                    _ptp.Rule.Guess(u, _law, doubts[c], ref best);
                    var place = tokens[..best.Count].IndexOf(batch.Targets[row]);
                    chance[c] += Math.Log(Math.Max(place < 0 ? 0 : chances[place], LeastChance));
                }
            }
        }

        _ptp.PickSoftness = softness.Best;
        _ptp.Doubt = doubts[Array.IndexOf(chance, chance.Max())];
    }

    /// <summary>Logits of all slots, [R, V].</summary>
    internal Variable Logits(DistillationBatch batch, RandomStream? noise = null) =>
        _cache is not null ? GatedLogits(batch, noise) : StudentLogits(batch);

    /// <summary>The texts of a batch, cut at the starts of its runs and continued by the slots from random u.</summary>
    private DistillationBatch Continued(DistillationBatch batch, RandomStream random)
    {
        Numbers(random, batch.U);
        var slots = Logits(batch).Value;
        var places = new int[batch.Runs.Length];
        for (var index = 0; index < places.Length; index++)
        {
            places[index] = batch.Place(batch.Runs[index]) - 1;
        }

        var exact = _ptp.Shift > 0 ? BaseLogits(places) : null;
        var (texts, runs) = (new List<Completion>(), new List<SlotRun>());
        var (row, room, width) = (0, _options.ContextTokens, _ptp.NumbersPerToken);
        for (var index = 0; index < places.Length; index++)
        {
            var run = batch.Runs[index];
            var tokens = batch.Text(run.Text).AsSpan(0, run.Start).ToArray().ToList();
            if (exact is not null)
            {
                tokens.Add(Picked(exact, index, batch.U.Slice(row * width, width))); // its law is the base's own
            }

            for (var slot = 0; slot < run.Count; slot++, row++)
            {
                // A categorical slot's token is picked by the u that the next one carries. A one-hot slot's is drawn from what it
                // holds for possible, with fresh numbers: its likeliest token alone would teach it to repeat itself.
                var picks = _ptp.Shift > 0 && slot + 1 < run.Count
                    ? batch.U.Slice((row + 1) * width, width)
                    : Numbers(random, new float[width]);
                tokens.Add(Picked(slots, row, picks));
            }

            if (tokens.Count <= room)
            {
                room -= tokens.Count;
                runs.Add(run with { Text = texts.Count });
                texts.Add(new Completion([.. tokens], run.Start, Auxiliaries.FromSeed(0, width)));
            }
        }

        return new DistillationBatch(texts, runs, width, _options.Gamma, _ptp.Shift);
    }

    private static Span<float> Numbers(RandomStream random, Span<float> u)
    {
        foreach (ref var number in u)
        {
            number = random.NextInt(Cell.Grid) * (1f / Cell.Grid);
        }

        return u;
    }

    private int Picked(Tensor logits, int row, ReadOnlySpan<float> u)
    {
        ToLaw(_slots, logits, row);
        return _ptp.Rule.Pick(u, _law);
    }

    /// <summary>The law of a row of logits, in _law.</summary>
    private void ToLaw(Tape tape, Tensor logits, int row)
    {
        tape.Backend.Download(logits.Slice(row, 1), _law);
        _transform.ToLaw(_law, _law);
    }

    private DistillationBatch NewBatch() => new(_ptp.NumbersPerToken, _options.Gamma, _ptp.Shift);

    private DistillationBatch Draw(DistillationBatch batch, RandomStream random) =>
        batch.Draw(_completions, _ptp.Slots, _options, random, SureSlots);

    /// <summary>Logits of the base behind places of the context of the last pass, [R, V].</summary>
    private Tensor BaseLogits(ReadOnlySpan<int> places)
    {
        var hidden = _context.Empty(places.Length, _known!.Columns, needsGradient: false);
        _context.Backend.Embedding(_known, places, hidden.Value);
        return _ptp.Network.Logits(_context, hidden).Value;
    }

    /// <summary>
    /// Puts every u of a batch into the cell of its token under the base's law. A run ends, by weight, where a token is impossible.
    /// </summary>
    private void InferU(DistillationBatch batch, double beta, RandomStream noise)
    {
        var places = batch.PlacesBefore(_ptp.Shift + 1);
        var logits = BaseLogits(places);
        var (row, width) = (0, _ptp.NumbersPerToken);
        foreach (var run in batch.Runs)
        {
            var possible = true;
            for (var slot = 0; slot < run.Count; slot++, row++)
            {
                ToLaw(_context, logits, row);
                var u = batch.U.Slice(row * width, width);
                possible &= _ptp.Rule.TryDraw(batch.Ids[places[row] + 1], _law, noise, beta, u);
                if (!possible)
                {
                    u.Clear();
                    batch.Weights[row] = 0;
                }
            }
        }
    }

    /// <summary>Base rows fill the cache without gradient; gated slots read it.</summary>
    private Variable GatedLogits(DistillationBatch batch, RandomStream? noise)
    {
        var network = _ptp.Network;
        var context = batch.Ids.Length;
        _context.Reset();
        var tokens = _context.Empty(context, network.Config.HiddenSize);
        _context.Embedding(network.Embeddings, batch.Ids, tokens);
        var cacheSlots = Scratch(context);
        for (var i = 0; i < context; i++)
        {
            cacheSlots[i] = i;
        }

        var call = new CallRows(batch.Positions, batch.ContextVisibility(), _cache, cacheSlots);
        var depth = _ptp.Sampler?.Depth ?? 0;
        var early = network.Blocks(_context, tokens, call, layers: ..depth);
        var known = network.Blocks(_context, early, call, layers: depth..);
        var learnsLaws = _loss is DistillationLoss.Divergence or DistillationLoss.ReverseDivergence;
        _known = known.Value;
        _teacher = learnsLaws ? BaseLogits(batch.PlacesBefore(1)) : null;
        if (_options.InferredU is { } beta && noise is not null)
        {
            InferU(batch, beta, noise);
        }

        _slots.Reset();
        var x = _slots.Empty(batch.Targets.Length, network.Config.HiddenSize);
        _ptp.Embed(_slots, batch.U, batch.LastTokens, x);
        var rows = new CallRows(batch.SlotPositions, batch.SlotVisibility(cached: true), _cache, gateStart: 0);
        var hidden = network.Blocks(_slots, x, rows, _ptp.Lora);
        return _ptp.Logits(
            _slots, hidden, batch.EarlierTokens(_ptp.Sampler?.History ?? 0), depth > 0 ? Before(_slots, early.Value, batch) : null);
    }

    /// <summary>Rows of the context, [S, D], that stand just before the tokens that slots predict, [R, D].</summary>
    private static Variable Before(Tape tape, Tensor context, DistillationBatch batch)
    {
        var rows = tape.Empty(batch.Targets.Length, context.Columns, needsGradient: false);
        tape.Backend.Embedding(context, batch.PlacesBefore(1), rows.Value);
        return rows;
    }

    /// <summary>A student learns from context rows too, so both kinds of rows share one recorded pass.</summary>
    private Variable StudentLogits(DistillationBatch batch)
    {
        var network = _ptp.Network;
        var (context, slots) = (batch.Ids.Length, batch.Targets.Length);
        _slots.Reset();
        var x = _slots.Empty(context + slots, network.Config.HiddenSize);
        _slots.Embedding(network.Embeddings, batch.Ids, x.Slice(0, context));
        _ptp.Embed(_slots, batch.U, batch.LastTokens, x.Slice(context, slots));
        var positions = Scratch(context + slots);
        batch.Positions.CopyTo(positions);
        batch.SlotPositions.CopyTo(positions[context..]);
        var rows = new CallRows(positions, batch.SlotVisibility(cached: false));
        var hidden = network.Blocks(_slots, x, rows);
        return network.Logits(_slots, hidden.Slice(context, slots));
    }

    private Span<int> Scratch(int length)
    {
        if (_numbers.Length < length)
        {
            _numbers = new int[2 * length];
        }

        return _numbers.AsSpan(0, length);
    }
}
