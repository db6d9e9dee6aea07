// Committed tokens become text as they come: whole characters only, accepted drafts marked, stop strings cut off.
// What might be the beginning of a stop string is held back until the next token decides.
// Refuses: nothing. Tokens after the one that completed a stop string do not count, however many a round committed.

using System.Text;
using Ptp.Core.Decoding;
using Ptp.Core.Text;

namespace Ptp.Reference.Commands;

/// <summary>Turns rounds into text.</summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="stops">Texts that end the output; they are not part of it.</param>
/// <param name="atStart">True if no text stands before.</param>
/// <param name="write">Told of each piece and whether its token was an accepted draft; may be null.</param>
internal sealed class TextStream(
    Tokenizer tokenizer, IReadOnlyList<string> stops, bool atStart, Action<string, bool>? write)
{
    private readonly StreamingDecoder _decoder = tokenizer.CreateStreamingDecoder(atStart);
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _pending = new();
    private readonly List<bool> _pendingAccepted = [];

    /// <summary>Everything given out so far.</summary>
    public string Text => _text.ToString();

    /// <summary>Tokens so far, up to the one that completed a stop string.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>Whether each token was an accepted draft.</summary>
    public List<bool> Accepted { get; } = [];

    /// <summary>True once a stop string has appeared.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes a round; false if the text is to end here.</summary>
    public bool Take(Commitment round)
    {
        var tokens = round.Tokens.Span;
        for (var i = 0; i < tokens.Length && !Stopped; i++)
        {
            Tokens.Add(tokens[i]);
            Accepted.Add(i < round.Correct);
            Push(_decoder.Append(tokens[i]), i < round.Correct);
        }

        return !Stopped;
    }

    /// <summary>Gives out what was held back.</summary>
    public void End()
    {
        if (!Stopped)
        {
            Push(_decoder.Flush(), false);
        }

        if (!Stopped)
        {
            Emit(_pending.Length);
        }
    }

    private void Push(string piece, bool accepted)
    {
        _pending.Append(piece);
        for (var i = 0; i < piece.Length; i++)
        {
            _pendingAccepted.Add(accepted);
        }

        if (stops.Count == 0)
        {
            Emit(_pending.Length);
            return;
        }

        var text = _pending.ToString();
        var end = stops.Select(s => text.IndexOf(s, StringComparison.Ordinal)).Where(at => at >= 0)
            .DefaultIfEmpty(-1).Min();
        Stopped = end >= 0;
        Emit(Stopped ? end : text.Length - HeldBack(text));
    }

    /// <summary>Length of the longest end of the text that begins a stop string.</summary>
    private int HeldBack(string text)
    {
        for (var length = Math.Min(text.Length, stops.Max(s => s.Length) - 1); length > 0; length--)
        {
            if (stops.Any(s => s.Length > length && s.StartsWith(text[^length..], StringComparison.Ordinal)))
            {
                return length;
            }
        }

        return 0;
    }

    private void Emit(int count)
    {
        var start = 0;
        while (start < count)
        {
            var end = start + 1;
            while (end < count && _pendingAccepted[end] == _pendingAccepted[start])
            {
                end++;
            }

            write?.Invoke(_pending.ToString(start, end - start), _pendingAccepted[start]);
            start = end;
        }

        _text.Append(_pending, 0, count);
        _pending.Remove(0, count);
        _pendingAccepted.RemoveRange(0, count);
    }
}
