// The suffix automaton of a growing sequence (Blumer et al. 1985): each state stands for the sequences that end in the same places.
// After every token it knows the longest suffix that occurred before, and where that ended first; a token costs O(1) amortised.
// Refuses: negative ids other than a boundary, which matches nothing. Not here: drafting (AutomatonDrafter).

namespace Ptp.Core.Decoding.Drafters;

/// <summary>A place in an automaton: a state, and how many tokens of a text it matches.</summary>
/// <param name="State">0 is the empty match.</param>
/// <param name="Length">Tokens matched.</param>
public readonly record struct AutomatonMatch(int State, int Length);

/// <summary>Finds the longest match of a text's end in a sequence.</summary>
public sealed class SuffixAutomaton
{
    private readonly List<int> _text = [];
    private readonly Dictionary<(int State, int Token), int> _next = [];
    private readonly List<List<int>?> _tokens = [null]; // tokens that lead out of a state, for copies of it
    private readonly List<int> _link = [-1];
    private readonly List<int> _longest = [0];
    private readonly List<int> _firstEnd = [-1];
    private int _last;

    /// <summary>The sequence.</summary>
    public IReadOnlyList<int> Text => _text;

    /// <summary>States: at most twice the tokens.</summary>
    public int States => _link.Count;

    /// <summary>The longest suffix of the sequence that also ends earlier in it.</summary>
    public AutomatonMatch Repeated => _last == 0 ? default : new AutomatonMatch(_link[_last], _longest[_link[_last]]);

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _text.Clear();
        _next.Clear();
        _tokens.Clear();
        _tokens.Add(null);
        _link.Clear();
        _link.Add(-1);
        _longest.Clear();
        _longest.Add(0);
        _firstEnd.Clear();
        _firstEnd.Add(-1);
        _last = 0;
    }

    /// <summary>Appends a token.</summary>
    public void Append(int token)
    {
        var state = NewState(_longest[_last] + 1, _text.Count);
        _text.Add(token);
        var at = _last;
        for (; at >= 0 && !_next.ContainsKey((at, token)); at = _link[at])
        {
            Lead(at, token, state);
        }

        _last = state;
        if (at < 0)
        {
            _link[state] = 0;
            return;
        }

        var known = _next[(at, token)];
        if (_longest[known] == _longest[at] + 1)
        {
            _link[state] = known;
            return;
        }

        // The state stands for longer sequences too, which do not end here: split it.
        var copy = NewState(_longest[at] + 1, _firstEnd[known]);
        foreach (var outgoing in _tokens[known] ?? [])
        {
            Lead(copy, outgoing, _next[(known, outgoing)]);
        }

        _link[copy] = _link[known];
        (_link[known], _link[state]) = (copy, copy);
        for (; at >= 0 && _next.GetValueOrDefault((at, token), -1) == known; at = _link[at])
        {
            _next[(at, token)] = copy;
        }
    }

    /// <summary>The longest match of a text's end after one more token of it.</summary>
    public AutomatonMatch Advance(AutomatonMatch match, int token)
    {
        var (state, length) = (match.State, match.Length);
        while (true)
        {
            if (_next.TryGetValue((state, token), out var next))
            {
                return new AutomatonMatch(next, length + 1);
            }

            if (state == 0)
            {
                return default;
            }

            state = _link[state];
            length = _longest[state];
        }
    }

    /// <summary>What followed where a match first ended, [at most <paramref name="most"/>].</summary>
    public ReadOnlySpan<int> Continuation(AutomatonMatch match, int most)
    {
        var from = _firstEnd[match.State] + 1;
        return System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_text).Slice(from, Math.Min(most, _text.Count - from));
    }

    private int NewState(int longest, int firstEnd)
    {
        _tokens.Add(null);
        _link.Add(0);
        _longest.Add(longest);
        _firstEnd.Add(firstEnd);
        return _link.Count - 1;
    }

    private void Lead(int state, int token, int to)
    {
        _next[(state, token)] = to;
        (_tokens[state] ??= []).Add(token);
    }
}
