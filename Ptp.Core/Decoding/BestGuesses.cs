// The m best of many scored tokens, kept while they are found: likeliest first.
// What falls below the worst of a full list can be skipped unseen (Floor), so searches cut their branches with it.
// Refuses: nothing; ties go to what was found first.

namespace Ptp.Core.Decoding;

/// <summary>A short list of tokens with their chances.</summary>
/// <param name="tokens">Receives ids, [m].</param>
/// <param name="chances">Receives their chances, [m].</param>
public ref struct BestGuesses(Span<int> tokens, Span<float> chances)
{
    private readonly Span<int> _tokens = tokens;
    private readonly Span<float> _chances = chances;

    /// <summary>Tokens found, at most m.</summary>
    public int Count { get; private set; }

    /// <summary>A chance that is not above this changes nothing.</summary>
    public readonly float Floor => Count == _tokens.Length ? _chances[Count - 1] : 0f;

    /// <summary>Takes a token if it is among the best so far.</summary>
    public void Add(int token, float chance)
    {
        if (!(chance > Floor))
        {
            return;
        }

        var place = Count < _tokens.Length ? Count++ : Count - 1;
        for (; place > 0 && _chances[place - 1] < chance; place--)
        {
            (_tokens[place], _chances[place]) = (_tokens[place - 1], _chances[place - 1]);
        }

        (_tokens[place], _chances[place]) = (token, chance);
    }

    /// <summary>Replaces every token by names[token].</summary>
    public readonly void Rename(ReadOnlySpan<int> names)
    {
        foreach (ref var token in _tokens[..Count])
        {
            token = names[token];
        }
    }

    /// <summary>Divides all chances.</summary>
    public readonly void Normalise(double sum)
    {
        foreach (ref var chance in _chances[..Count])
        {
            chance = (float)(chance / sum);
        }
    }
}
