// Whole texts packed as the rows of one call, isolated from each other, with the tokens that stand some places behind each row.
//   row i of a text holds t_i; its token "ahead" places on is t_{i+ahead}
// Only tokens behind a text's prompt are targets. Refuses: texts without such a token.

using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>S rows of whole texts.</summary>
public sealed class PackedTexts
{
    private readonly int[] _ends; // [S]: one past the last row of each row's text
    private readonly int[] _firsts; // [S]: first row of each row's text that holds a target

    /// <summary>Packs texts one behind the other.</summary>
    /// <param name="texts">Texts; tokens from each prompt's end on are targets.</param>
    public PackedTexts(IReadOnlyList<Completion> texts)
    {
        Texts = texts;
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
    }

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

    /// <summary>Texts drawn at random until a few in a row do not fit any more.</summary>
    /// <param name="texts">All texts; the shortest fits.</param>
    /// <param name="rows">Most rows.</param>
    /// <param name="random">The step's stream.</param>
    public static PackedTexts Draw(IReadOnlyList<Completion> texts, int rows, RandomStream random)
    {
        var drawn = new List<Completion>();
        for (var (room, failures) = (rows, 0); failures < 4;)
        {
            var text = texts[random.NextInt(texts.Count)];
            if (text.Tokens.Length > room)
            {
                failures++;
                continue;
            }

            room -= text.Tokens.Length;
            drawn.Add(text);
        }

        return new PackedTexts(drawn);
    }

    /// <summary>Rows that hold the tokens <paramref name="ahead"/> places on, [S]; beyond a text's end its last row.</summary>
    public int[] Places(int ahead) => [.. Enumerable.Range(0, Ids.Length).Select(row => Math.Min(row + ahead, _ends[row] - 1))];

    /// <summary>Tokens at given rows.</summary>
    public int[] TokensAt(int[] places) => [.. places.Select(place => Ids[place])];

    /// <summary>Tokens <paramref name="ahead"/> places on, [S]; beyond a text's end its last token, which weighs nothing.</summary>
    public int[] Tokens(int ahead) => TokensAt(Places(ahead));

    /// <summary><paramref name="weight"/> where the token ahead exists and was generated, else 0, [S].</summary>
    public float[] Weights(int ahead, double weight = 1) => [.. Enumerable.Range(0, Ids.Length)
        .Select(row => row + ahead < _ends[row] && row + ahead >= _firsts[row] ? (float)weight : 0f)];
}
