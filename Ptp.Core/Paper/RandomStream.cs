// Named, independent, counter-based random streams for everything that is not u: initial weights, data order, noise.
// The n-th number is a function of (seed, name, n), so the state of a stream is one counter that checkpoints can store.
// Not here: u, which is addressed by index (see Auxiliaries), and cryptographic strength.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Ptp.Core.Paper;

/// <summary>A stream of random numbers. Equal seed and name give equal numbers; different names are independent.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of numbers is what it is; no System.IO.Stream is meant.")]
public sealed class RandomStream
{
    private const ulong Gamma = 0x9e3779b97f4a7c15;
    private const ulong FirstHash = 14695981039346656037UL;

    private ulong _first;
    private ulong _second;

    /// <summary>Opens the stream at its beginning.</summary>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="name">What the stream is for, for example "data order".</param>
    public RandomStream(ulong seed, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Open(seed, Hash(FirstHash, name));
    }

    /// <summary>Becomes the stream that is named <paramref name="name"/> with a number behind it, such as "order of epoch 7".</summary>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="name">The name up to the number.</param>
    /// <param name="number">A step or an epoch.</param>
    public void Restart(ulong seed, string name, int number)
    {
        Span<char> digits = stackalloc char[11];
        number.TryFormat(digits, out var count, default, CultureInfo.InvariantCulture);
        Open(seed, Hash(Hash(FirstHash, name), digits[..count]));
    }

    /// <summary>How many 64-bit words were drawn. Set it to resume a stream.</summary>
    public ulong Position { get; set; }

    /// <summary>64 random bits.</summary>
    public ulong NextBits() => Mix(Mix(_first + ++Position * Gamma) ^ _second);

    /// <summary>A number in [0, 1), a multiple of 2^-53.</summary>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A whole number in [0, bound), without bias.</summary>
    /// <param name="bound">At least 1.</param>
    public int NextInt(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        var limit = ulong.MaxValue - ulong.MaxValue % (ulong)bound;
        ulong bits;
        do
        {
            bits = NextBits();
        }
        while (bits >= limit);

        return (int)(bits % (ulong)bound);
    }

    /// <summary>A standard normal number (Box and Muller; two words each, so that the counter is the whole state).</summary>
    public double NextGaussian()
    {
        var radius = Math.Sqrt(-2 * Math.Log(1 - NextDouble()));
        return radius * Math.Cos(2 * Math.PI * NextDouble());
    }

    /// <summary>A bijective mixer of 64 bits: each input bit flips each output bit with probability near one half.</summary>
    /// <param name="bits">Any word.</param>
    internal static ulong Mix(ulong bits)
    {
        bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
        return bits ^ (bits >> 31);
    }

    private static ulong Hash(ulong hash, ReadOnlySpan<char> letters)
    {
        foreach (var letter in letters)
        {
            hash = (hash ^ letter) * 1099511628211UL; // FNV-1a over UTF-16 units; string.GetHashCode differs between runs
        }

        return hash;
    }

    private void Open(ulong seed, ulong hash)
    {
        _first = Mix(seed + Gamma) ^ Mix(hash);
        _second = Mix(_first + Mix(hash + Gamma));
        Position = 0;
    }
}
