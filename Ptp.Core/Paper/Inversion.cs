// From known tokens to the u that a C-PTP model itself would need to write them (PTP section 3.5, Algorithm 3), and back:
//   u_k in the cell of t_k under P_theta(. | t_<i, u_i..u_{k-1}), k = i, i+1, ...: sequential, one slot per step behind a cache;
//   or all k at once, again and again: after r sweeps the first r are right. A sampler head's law also reads the tokens before t_k, which the
// same u pick: it stays a function of t_<i and earlier u. Refuses: one-hot slots, flow heads, sampler heads that run tokens through blocks.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>Texts whose first tokens are given as such, and all later ones as numbers.</summary>
/// <param name="Texts">Tokens.</param>
/// <param name="Starts">For each text the index of the first token that is predicted, at least 1.</param>
public sealed record SplitTexts(IReadOnlyList<int[]> Texts, IReadOnlyList<int> Starts)
{
    /// <summary>Predicted tokens of a text.</summary>
    public int Predicted(int text) => Texts[text].Length - Starts[text];

    /// <summary>Predicted tokens of all texts, P.</summary>
    public int Count => Enumerable.Range(0, Texts.Count).Sum(Predicted);

    /// <summary>The predicted tokens, text by text, [P]: which text, and how many tokens behind its split.</summary>
    public IEnumerable<(int Text, int Slot)> Tokens()
    {
        for (var text = 0; text < Texts.Count; text++)
        {
            for (var slot = 0; slot < Predicted(text); slot++)
            {
                yield return (text, slot);
            }
        }
    }

    /// <summary>What a sampler head reads of slots, [History * R]: the tokens i + 1 places before the ones that they predict, i = 0, 1, ...</summary>
    internal int[] Earlier(IReadOnlyList<(int Text, int Slot)> slots, int history)
    {
        var earlier = new int[history * slots.Count];
        for (var i = 0; i < earlier.Length; i++)
        {
            var (text, slot) = slots[i % slots.Count];
            earlier[i] = Texts[text][Math.Max(0, Starts[text] + slot - i / slots.Count)];
        }

        return earlier;
    }
}

/// <summary>Numbers of texts' predicted tokens.</summary>
/// <param name="U">[P * numbers per token], text by text.</param>
/// <param name="LogLikelihood">log P_theta of each token at these numbers, [P].</param>
/// <param name="Representable">False where the token is impossible, or too rare for any number of the grid, [P].</param>
/// <param name="Sweeps">Passes over all slots that were needed.</param>
public sealed record InferredNumbers(float[] U, double[] LogLikelihood, bool[] Representable, int Sweeps);

/// <summary>Inverts and samples a C-PTP model.</summary>
[Paper("Algorithm 3")]
public sealed class Inversion
{
    private readonly SlotModel _ptp;
    private readonly Tape _tape;
    private readonly LogitsTransform _transform;
    private readonly float[] _law;
    private KvCache? _cache;
    private int[] _regions = [];

    /// <summary>An inverter; the model's weights may change between calls.</summary>
    public Inversion(SlotModel ptp)
    {
        Guard.Require(CanRead(ptp), "Invert a model",
            ptp.Flow is not null ? "slots with a flow head" : ptp.Sampler is null ? "one-hot slots" : "a sampler head that runs tokens through blocks",
            "categorical slots, alone or with a sampler head that reads tokens", "Only their laws are at hand from one pass over the slots.");
        _ptp = ptp;
        _tape = new Tape(ptp.Network.Backend);
        _law = new float[ptp.Network.Config.VocabularySize];
        _transform = new LogitsTransform(ptp.Law, _law.Length);
    }

    /// <summary>True for categorical slots, alone or with a sampler head that reads tokens as such.</summary>
    public static bool CanRead(SlotModel ptp) => ptp is { Reading: SlotReading.Categorical, Flow: null, Sampler: null or { Depth: 0 } };

    /// <summary>Numbers token by token: slot k runs behind a cache of the slots before it.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="noise">Seed of the places in the cells.</param>
    /// <param name="beta">b of Beta(b, b); 1 = uniform.</param>
    public InferredNumbers Sequential(SplitTexts texts, ulong noise, double beta = 1)
    {
        var result = Empty(texts);
        var first = Context(texts);
        var firsts = Offsets(texts);
        for (var text = 0; text < texts.Texts.Count; text++)
        {
            Infer(texts, (text, 0), first.Slice(text, 1), result, firsts[text], noise, beta);
        }

        var longest = Enumerable.Range(0, texts.Texts.Count).Max(texts.Predicted);
        for (var slot = 0; slot + 1 < longest; slot++)
        {
            int[] active = [.. Enumerable.Range(0, texts.Texts.Count).Where(t => slot + 1 < texts.Predicted(t))];
            var logits = OneSlot(texts, active, slot, result.U, firsts);
            for (var row = 0; row < active.Length; row++)
            {
                Infer(texts, (active[row], slot + 1), logits.Slice(row, 1), result, firsts[active[row]] + slot + 1, noise, beta);
            }
        }

        return result with { Sweeps = longest };
    }

    /// <summary>The same numbers by sweeps over all slots at once, until nothing changes.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="noise">Seed of the places in the cells.</param>
    /// <param name="beta">b of Beta(b, b).</param>
    /// <param name="start">Numbers to begin with, such as an earlier epoch's; null = the middle.</param>
    /// <param name="most">Most sweeps; enough for all by default.</param>
    public InferredNumbers Jacobi(SplitTexts texts, ulong noise, double beta = 1, float[]? start = null, int most = int.MaxValue)
    {
        var result = Empty(texts);
        start?.CopyTo(result.U, 0);
        var first = Context(texts);
        var firsts = Offsets(texts);
        for (var text = 0; text < texts.Texts.Count; text++)
        {
            Infer(texts, (text, 0), first.Slice(text, 1), result, firsts[text], noise, beta);
        }

        var sweeps = 1;
        for (var changed = true; changed && sweeps < most; sweeps++)
        {
            var before = (float[])result.U.Clone();
            var (logits, places) = AllSlots(texts, before);
            for (var row = 0; row < places.Count; row++)
            {
                var (text, slot) = places[row];
                Infer(texts, (text, slot + 1), logits.Slice(row, 1), result, firsts[text] + slot + 1, noise, beta);
            }

            changed = !before.AsSpan().SequenceEqual(result.U);
        }

        return result with { Sweeps = sweeps };
    }

    /// <summary>
    /// The tokens that numbers stand for, all in one pass behind the context (Theorem 2): t_k = Pick(u_k, P_theta(. | t_&lt;i, u_i..u_{k-1})).
    /// A sampler head walks from slot to slot behind that pass.
    /// </summary>
    /// <param name="texts">Texts; of their predicted tokens only the number counts.</param>
    /// <param name="u">[P * numbers per token].</param>
    public int[] Sample(SplitTexts texts, float[] u)
    {
        var first = Context(texts);
        var firsts = Offsets(texts);
        var width = _ptp.NumbersPerToken;
        var written = new SplitTexts([.. texts.Texts.Select(tokens => (int[])tokens.Clone())], texts.Starts);
        void Pick(Tensor logits, (int Text, int Slot) place)
        {
            ToLaw(logits);
            written.Texts[place.Text][texts.Starts[place.Text] + place.Slot] =
                _ptp.Rule.Pick(u.AsSpan((firsts[place.Text] + place.Slot) * width, width), _law);
        }

        for (var text = 0; text < texts.Texts.Count; text++)
        {
            Pick(first.Slice(text, 1), (text, 0));
        }

        var (hidden, places) = AllHidden(texts, u);
        foreach (var step in places.Index().GroupBy(p => p.Item.Slot).OrderBy(step => step.Key))
        {
            foreach (var (row, place) in step)
            {
                Pick(Logits(written, hidden!.Slice(row, 1), [place]), (place.Text, place.Slot + 1));
            }
        }

        return [.. texts.Tokens().Select(p => written.Texts[p.Text][texts.Starts[p.Text] + p.Slot])];
    }

    /// <summary>The law of each text's last token, given the numbers before it, [B][V].</summary>
    /// <param name="texts">Texts; their last tokens do not matter.</param>
    /// <param name="u">[P * numbers per token].</param>
    public float[][] LastLaws(SplitTexts texts, float[] u)
    {
        var first = Context(texts);
        var laws = new float[texts.Texts.Count][];
        for (var text = 0; text < laws.Length; text++)
        {
            if (texts.Predicted(text) == 1)
            {
                ToLaw(first.Slice(text, 1));
                laws[text] = [.. _law];
            }
        }

        var (logits, places) = AllSlots(texts, u);
        for (var row = 0; row < places.Count; row++)
        {
            if (places[row].Slot + 2 == texts.Predicted(places[row].Text))
            {
                ToLaw(logits.Slice(row, 1));
                laws[places[row].Text] = [.. _law];
            }
        }

        return laws;
    }

    private InferredNumbers Empty(SplitTexts texts)
    {
        Guard.Require(texts.Texts.Count > 0 && texts.Texts.Count == texts.Starts.Count
            && texts.Starts.Zip(texts.Texts).All(t => t.First >= 1 && t.First < t.Second.Length), "Invert texts",
            $"{texts.Texts.Count} texts, {texts.Starts.Count} starts", "a start of 1 or more, before the end, for each text",
            "Give each text a token to begin with and one to predict.");
        var count = texts.Count;
        var u = new float[count * _ptp.NumbersPerToken];
        Array.Fill(u, 0.5f);
        return new InferredNumbers(u, new double[count], new bool[count], 0);
    }

    private static int[] Offsets(SplitTexts texts)
    {
        var offsets = new int[texts.Texts.Count];
        for (var text = 1; text < offsets.Length; text++)
        {
            offsets[text] = offsets[text - 1] + texts.Predicted(text - 1);
        }

        return offsets;
    }

    private void Infer(
        SplitTexts texts, (int Text, int Slot) place, Tensor logits, InferredNumbers result, int index, ulong noise, double beta)
    {
        ToLaw(logits);
        var token = texts.Texts[place.Text][texts.Starts[place.Text] + place.Slot];
        // One stream per token, so that any order of inference finds the same place in the cell.
        var stream = new RandomStream(noise + ((ulong)place.Text << 32) + (ulong)place.Slot, "place in the cell");
        var width = _ptp.NumbersPerToken;
        var u = result.U.AsSpan(index * width, width);
        result.Representable[index] = _ptp.Rule.TryDraw(token, _law, stream, beta, u);
        result.LogLikelihood[index] = Math.Log(_law[token]);
        if (!result.Representable[index])
        {
            u.Clear();
        }
    }

    private void ToLaw(Tensor logits)
    {
        _ptp.Network.Backend.Download(logits, _law);
        _transform.ToLaw(_law, _law);
    }

    /// <summary>Runs all contexts into the cache, each text in a region of its own; logits behind their last tokens, [B, V].</summary>
    private Tensor Context(SplitTexts texts)
    {
        var network = _ptp.Network;
        var capacity = texts.Texts.Sum(t => t.Length);
        if (_cache is null || _cache.Capacity < capacity)
        {
            _cache = new KvCache(network.Backend, network.Config, capacity);
        }

        _regions = new int[texts.Texts.Count];
        var (ids, positions, slots, last) = (new List<int>(), new List<int>(), new List<int>(), new List<int>());
        var visibility = new Visibility();
        for (var (text, region) = (0, 0); text < texts.Texts.Count; region += texts.Texts[text].Length, text++)
        {
            _regions[text] = region;
            var length = texts.Starts[text];
            ids.AddRange(texts.Texts[text].AsSpan(0, length));
            positions.AddRange(Enumerable.Range(0, length));
            slots.AddRange(Enumerable.Range(region, length));
            visibility.AddCausal(0, 0, length);
            last.Add(ids.Count - 1);
        }

        _tape.Reset();
        var x = _tape.Empty(ids.Count, network.Config.HiddenSize);
        _tape.Embedding(network.Embeddings, [.. ids], x);
        var hidden = network.Blocks(_tape, x, new CallRows([.. positions], visibility, _cache, [.. slots]));
        var ends = _tape.Empty(last.Count, network.Config.HiddenSize, needsGradient: false);
        network.Backend.Embedding(hidden.Value, [.. last], ends.Value);
        return network.Logits(_tape, ends).Value;
    }

    /// <summary>One slot of each active text; its keys and values go into the cache for the next.</summary>
    private Tensor OneSlot(SplitTexts texts, int[] active, int slot, float[] u, int[] firsts)
    {
        var visibility = new Visibility();
        var (positions, slots) = (new int[active.Length], new int[active.Length]);
        for (var row = 0; row < active.Length; row++)
        {
            var (region, place) = (_regions[active[row]], texts.Starts[active[row]] + slot);
            visibility.AddRow(region, region + place).AddRange(row, row + 1);
            (positions[row], slots[row]) = (place, region + place);
        }

        (int Text, int Slot)[] places = [.. active.Select(text => (text, slot))];
        return Logits(texts, Hidden(texts, places, u, firsts, new CallRows(positions, visibility, _cache, slots, gateStart: 0)), places);
    }

    /// <summary>All slots that carry a number which another token needs, in one call.</summary>
    private (Tensor Logits, List<(int Text, int Slot)> Places) AllSlots(SplitTexts texts, float[] u)
    {
        var (hidden, places) = AllHidden(texts, u);
        return (hidden is null ? _ptp.Network.Backend.Allocate(1, _law.Length) : Logits(texts, hidden, places), places);
    }

    private (Variable? Hidden, List<(int Text, int Slot)> Places) AllHidden(SplitTexts texts, float[] u)
    {
        List<(int Text, int Slot)> places = [.. texts.Tokens().Where(p => p.Slot + 1 < texts.Predicted(p.Text))];
        var visibility = new Visibility();
        var positions = new int[places.Count];
        for (var row = 0; row < places.Count; row++)
        {
            var (text, slot) = places[row];
            visibility.AddRow(_regions[text], _regions[text] + texts.Starts[text]).AddRange(row - slot, row + 1);
            positions[row] = texts.Starts[text] + slot;
        }

        return places.Count == 0
            ? (null, places)
            : (Hidden(texts, places, u, Offsets(texts), new CallRows(positions, visibility, _cache, gateStart: 0)), places);
    }

    private Tensor Logits(SplitTexts texts, Variable hidden, IReadOnlyList<(int Text, int Slot)> places) =>
        _ptp.Logits(_tape, hidden, texts.Earlier(places, _ptp.Sampler?.History ?? 0)).Value;

    private Variable Hidden(SplitTexts texts, IReadOnlyList<(int Text, int Slot)> places, float[] u, int[] firsts, CallRows rows)
    {
        var width = _ptp.NumbersPerToken;
        var numbers = new float[places.Count * width];
        for (var row = 0; row < places.Count; row++)
        {
            u.AsSpan((firsts[places[row].Text] + places[row].Slot) * width, width).CopyTo(numbers.AsSpan(row * width));
        }

        var x = _tape.Empty(places.Count, _ptp.Network.Config.HiddenSize);
        _ptp.Embed(_tape, numbers, [.. places.Select(p => texts.Texts[p.Text][texts.Starts[p.Text] - 1])], x);
        return _ptp.Network.Blocks(_tape, x, rows, _ptp.Lora);
    }
}
