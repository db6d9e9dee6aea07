// Tokens that stand outside the merges, such as <|endoftext|>: found in a text by name, longest name first.
// Special ones are found only on request and decode to nothing; the others are ordinary text with an id of its own.
// Refuses empty names and names that occur twice.

using System.Buffers;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>A token outside the merges.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its name, as it stands in a text.</param>
/// <param name="Special">True if it is a control token, not text.</param>
public sealed record AddedToken(int Id, string Content, bool Special);

/// <summary>Finds added tokens in bytes.</summary>
internal sealed class AddedTokens
{
    private static readonly string[] s_begin = ["<|begin_of_text|>", "<s>", "<bos>", "<|startoftext|>", "<|endoftext|>"];

    private static readonly string[] s_end =
        ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eot_id|>", "<|im_end|>"];

    private readonly (byte[] Name, AddedToken Token)[] _longestFirst;
    private readonly SearchValues<byte> _anyStart;
    private readonly SearchValues<byte> _textStart;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        All = [.. tokens.OrderBy(t => t.Id)];
        _longestFirst =
            [.. All.Select(t => (Encoding.UTF8.GetBytes(t.Content), t)).OrderByDescending(t => t.Item1.Length)];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var token in All)
        {
            Guard.Require(
                token.Content.Length > 0 && seen.Add(token.Content), "Set up a tokenizer",
                $"the added token '{token.Content}'", "names that are not empty and occur once",
                "Correct the list of names.");
        }

        _anyStart = SearchValues.Create([.. _longestFirst.Select(t => t.Name[0])]);
        _textStart = SearchValues.Create([.. _longestFirst.Where(t => !t.Token.Special).Select(t => t.Name[0])]);
    }

    /// <summary>All of them, by id.</summary>
    public IReadOnlyList<AddedToken> All { get; }

    /// <summary>The id that the usual names give to the start of a text.</summary>
    public int? BeginToken => s_begin.Select(Find).FirstOrDefault(id => id is not null);

    /// <summary>The ids that the usual names give to the end of a text.</summary>
    public int[] EndTokens => [.. s_end.Select(Find).OfType<int>()];

    /// <summary>The id of a name, if it is one of these.</summary>
    public int? Find(string? content) => All.FirstOrDefault(t => t.Content == content)?.Id;

    /// <summary>The first added token in the text: where, which, how long; length 0 if there is none.</summary>
    public (int At, int Id, int Length) Next(ReadOnlySpan<byte> text, bool parseSpecial)
    {
        var starts = parseSpecial ? _anyStart : _textStart;
        for (var at = 0; ; at++)
        {
            var skip = text[at..].IndexOfAny(starts);
            if (skip < 0)
            {
                return (text.Length, -1, 0);
            }

            at += skip;
            foreach (var (name, token) in _longestFirst)
            {
                if ((parseSpecial || !token.Special) && text[at..].StartsWith(name))
                {
                    return (at, token.Id, name.Length);
                }
            }
        }
    }
}
