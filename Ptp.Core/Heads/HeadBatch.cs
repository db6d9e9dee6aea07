// One step's texts as the frozen base sees them: hidden states [S, D] behind chosen blocks, logits [S, V], keys and values.
//   row i of a text holds t_i; its token "ahead" places on is t_{i+ahead}, whose law under the base stands behind row i + ahead - 1
// Only tokens that the base itself has generated are targets. Refuses: texts without such a token.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>S rows of whole texts after a pass of the base.</summary>
public sealed class HeadBatch
{
    private readonly Tape _tape;
    private readonly int[] _ends; // [S]: one past the last row of each row's text
    private readonly int[] _firsts; // [S]: first row of each row's text that holds a generated token
    private readonly Tensor _logits;

    /// <summary>Runs the base over texts, packed and isolated from each other.</summary>
    /// <param name="network">The base.</param>
    /// <param name="tape">Holds what the pass leaves; reset here, and not to be reset while the batch is in use.</param>
    /// <param name="cache">Receives keys and values at entry i of row i; hidden states of the layers that it keeps.</param>
    /// <param name="texts">Texts; tokens from each prompt's end on are targets.</param>
    /// <param name="random">For whatever a head draws at random in its step.</param>
    public HeadBatch(Transformer network, Tape tape, KvCache cache, IReadOnlyList<Completion> texts, RandomStream random)
    {
        (Network, _tape, Cache, Texts, Random) = (network, tape, cache, texts, random);
        Ids = [.. texts.SelectMany(t => t.Tokens)];
        Positions = [.. texts.SelectMany(t => Enumerable.Range(0, t.Tokens.Length))];
        Visibility = new Visibility();
        var (starts, ends, firsts) = (new List<int>(), new List<int>(), new List<int>());
        foreach (var text in texts)
        {
            Guard.Require(text.PromptLength < text.Tokens.Length, "Train a head", $"a text of {text.Tokens.Length} tokens, all of them prompt",
                "a generated token", "Leave such texts out.");
            starts.Add(ends.Count);
            ends.AddRange(Enumerable.Repeat(starts[^1] + text.Tokens.Length, text.Tokens.Length));
            firsts.AddRange(Enumerable.Repeat(starts[^1] + text.PromptLength, text.Tokens.Length));
            Visibility.AddCausal(0, 0, text.Tokens.Length);
        }

        (Starts, _ends, _firsts) = (starts, [.. ends], [.. firsts]);
        tape.Reset();
        var x = tape.Empty(Ids.Length, network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(network.Embeddings, Ids, x);
        int[] slots = [.. Enumerable.Range(0, Ids.Length)];
        var hidden = network.Blocks(tape, x, new CallRows(Positions, Visibility, cache, slots));
        _logits = network.Logits(tape, hidden).Value;
    }

    /// <summary>The base.</summary>
    public Transformer Network { get; }

    /// <summary>The texts.</summary>
    public IReadOnlyList<Completion> Texts { get; }

    /// <summary>First row of each text.</summary>
    public IReadOnlyList<int> Starts { get; }

    /// <summary>Tokens of all rows, [S].</summary>
    public int[] Ids { get; }

    /// <summary>Positions within the texts, [S].</summary>
    public int[] Positions { get; }

    /// <summary>Causal within each text.</summary>
    public Visibility Visibility { get; }

    /// <summary>Keys and values, entry i of row i.</summary>
    public KvCache Cache { get; }

    /// <summary>The step's own stream.</summary>
    public RandomStream Random { get; }

    /// <summary>S.</summary>
    public int Rows => Ids.Length;

    /// <summary>Hidden states behind a block of the base, a constant, [S, D].</summary>
    public Variable States(int layer) => new(Cache.States(layer)!.Slice(0, Rows), null);

    /// <summary>Rows that hold the tokens <paramref name="ahead"/> places on, [S]; beyond a text's end its last row.</summary>
    public int[] Places(int ahead) => [.. Enumerable.Range(0, Rows).Select(row => Math.Min(row + ahead, _ends[row] - 1))];

    /// <summary>Tokens at given rows.</summary>
    public int[] TokensAt(int[] places) => [.. places.Select(place => Ids[place])];

    /// <summary>Tokens <paramref name="ahead"/> places on, [S]; beyond a text's end its last token, which weighs nothing.</summary>
    public int[] Tokens(int ahead) => TokensAt(Places(ahead));

    /// <summary><paramref name="weight"/> where the token ahead exists and was generated, else 0, [S].</summary>
    public float[] Weights(int ahead, double weight = 1) => [.. Enumerable.Range(0, Rows)
        .Select(row => row + ahead < _ends[row] && row + ahead >= _firsts[row] ? (float)weight : 0f)];

    /// <summary>Logits of the base for the tokens at given places, [R, V]; rows at a text's start have none and weigh nothing.</summary>
    public Tensor Teacher(int[] places)
    {
        var rows = _tape.Empty(places.Length, _logits.Columns, needsGradient: false);
        _tape.Backend.Embedding(_logits, [.. places.Select(place => Math.Max(0, place - 1))], rows.Value);
        return rows.Value;
    }

    /// <summary>Constant rows of a tensor [S, D], by index, [R, D].</summary>
    public Variable Gather(Tensor source, int[] rows)
    {
        var gathered = _tape.Empty(rows.Length, source.Columns, needsGradient: false);
        _tape.Backend.Embedding(source, rows, gathered.Value);
        return gathered;
    }
}
