// Ops on whole rows: embedding, scatter, RMSNorm and RoPE; equations are in IBackend.
// A sum over a row belongs to one thread, a sum over rows too (one per column, rows ascending): no atomics, so every
// run gives the same bits. Refuses: shape and id checks, which GpuBackend does.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>output[r] = table[ids[r]]; table [V, D], output [R, D].</summary>
internal struct EmbeddingKernel : IElementKernel
{
    public ArrayView<float> Table, Output;
    public ArrayView<int> Ids;
    public int Columns;

    public readonly void Element(int index)
    {
        var row = index / Columns;
        Output[index] = Table[Ids[row] * Columns + (index - row * Columns)];
    }
}

/// <summary>
/// dTable[id] += the rows of dOutput that have this id, ascending; one thread per distinct id and column. Rows of id i of the distinct ones
/// are Rows[Offsets[i]] to Rows[Offsets[i + 1]].
/// </summary>
internal struct EmbeddingBackwardKernel : IElementKernel
{
    public ArrayView<float> DOutput, DTable;
    public ArrayView<int> Ids, Offsets, Rows;
    public int Columns;

    public readonly void Element(int index)
    {
        var id = index / Columns;
        var column = index - (id * Columns);
        var at = (Ids[id] * Columns) + column;
        var sum = DTable[at];
        for (var i = Offsets[id]; i < Offsets[id + 1]; i++)
        {
            sum += DOutput[(Rows[i] * Columns) + column];
        }

        DTable[at] = sum;
    }
}

/// <summary>destination[slots[r]] = source[r] where slots[r] is not negative; no slot is named twice.</summary>
internal struct ScatterKernel : IElementKernel
{
    public ArrayView<float> Source, Destination;
    public ArrayView<int> Slots;
    public int Columns;

    public readonly void Element(int index)
    {
        var row = index / Columns;
        if (Slots[row] >= 0)
        {
            Destination[(Slots[row] * Columns) + index - (row * Columns)] = Source[index];
        }
    }
}

/// <summary>(a, b) -> (a cos - b sin, b cos + a sin), a = x[i], b = x[i + K/2]; direction -1 turns back.</summary>
internal struct RopeTurn
{
    public ArrayView<float> Cosine, Sine;
    public ArrayView<int> Positions;
    public int Half;
    public float Direction;

    /// <summary>Where pair p of a row has its a; its b is <see cref="Half"/> behind.</summary>
    public readonly int First(int pair) => pair + (pair / Half * Half);

    /// <summary>Turns a pair whose a is at <paramref name="at"/>. Both sums say which product is rounded, so no compiler decides it.</summary>
    public readonly void Apply(ArrayView<float> x, int at, int row, int pair)
    {
        var turn = (Positions[row] * Half) + (pair % Half);
        var (cosine, sine) = (Cosine[turn], Sine[turn] * Direction);
        var (a, b) = (x[at], x[at + Half]);
        x[at] = DeviceMath.Fma(a, cosine, -(b * sine));
        x[at + Half] = DeviceMath.Fma(b, cosine, a * sine);
    }
}

/// <summary>Turns x [R, heads * K], one thread per pair.</summary>
internal struct RopeKernel : IElementKernel
{
    public RopeTurn Turn;
    public ArrayView<float> X;
    public int PairsPerRow;

    public readonly void Element(int index)
    {
        var row = index / PairsPerRow;
        var pair = index - (row * PairsPerRow);
        Turn.Apply(X, (2 * row * PairsPerRow) + Turn.First(pair), row, pair);
    }
}

/// <summary>Turns q and k; then cachedKeys[slots[r]] = k[r] and cachedValues[slots[r]] = v[r] where slots[r] is not negative. One thread per pair of q, k, v.</summary>
internal struct RopeAndStoreKernel : IElementKernel
{
    public RopeTurn Turn;
    public ArrayView<float> Q, Keys, Values, CachedKeys, CachedValues;
    public ArrayView<int> Slots;
    public int QueryPairs, KeyPairs; // of a row

    public readonly void Element(int index)
    {
        var pairs = QueryPairs + (2 * KeyPairs);
        var row = index / pairs;
        var pair = index - (row * pairs);
        if (pair < QueryPairs)
        {
            Turn.Apply(Q, (2 * row * QueryPairs) + Turn.First(pair), row, pair);
            return;
        }

        pair -= QueryPairs;
        var isKey = pair < KeyPairs;
        pair -= isKey ? 0 : KeyPairs;
        var (from, to) = (2 * row * KeyPairs, 2 * Slots[row] * KeyPairs);
        if (isKey)
        {
            Turn.Apply(Keys, from + Turn.First(pair), row, pair);
        }

        if (to >= 0)
        {
            Store(isKey ? Keys : Values, isKey ? CachedKeys : CachedValues, from + Turn.First(pair), to + Turn.First(pair));
        }
    }

    private readonly void Store(ArrayView<float> source, ArrayView<float> destination, int from, int to)
    {
        destination[to] = source[from];
        destination[to + Turn.Half] = source[from + Turn.Half];
    }
}

/// <summary>s[r] = (mean(x[r]^2) + e)^-1/2, what RMSNorm multiplies a row by; one thread per row.</summary>
internal struct InverseRootKernel : IElementKernel
{
    public ArrayView<float> X, S;
    public int Columns;
    public float Epsilon;

    public readonly void Element(int index)
    {
        var sum = 0f;
        for (var i = index * Columns; i < (index + 1) * Columns; i++)
        {
            sum = DeviceMath.Fma(X[i], X[i], sum);
        }

        S[index] = 1f / MathF.Sqrt(sum / Columns + Epsilon);
    }
}

/// <summary>y = x s g.</summary>
internal struct RmsNormKernel : IElementKernel
{
    public ArrayView<float> X, Gain, S, Y;
    public int Columns;

    public readonly void Element(int index)
    {
        var row = index / Columns;
        Y[index] = X[index] * S[row] * Gain[index - row * Columns];
    }
}

/// <summary>y = x s g, so dx = s (g dy) - x s^3 mean(x g dy); one thread per row.</summary>
internal struct RmsNormBackwardKernel : IElementKernel
{
    public ArrayView<float> X, Gain, S, DY, DX;
    public int Columns;

    public readonly void Element(int index)
    {
        var first = index * Columns;
        var dot = 0f;
        for (var i = 0; i < Columns; i++)
        {
            dot = DeviceMath.Fma(X[first + i] * Gain[i], DY[first + i], dot);
        }

        var s = S[index];
        var k = -s * s * s * dot / Columns;
        for (var i = 0; i < Columns; i++)
        {
            DX[first + i] += Gain[i] * DY[first + i] * s + X[first + i] * k;
        }
    }
}

/// <summary>partial[j, c] = sum of x s dy over the rows of run j; one thread per run and column.</summary>
internal struct RmsNormGainKernel : IElementKernel
{
    public const int Run = 64;
    public ArrayView<float> X, S, DY, Partial;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        var run = index / Columns;
        var column = index - (run * Columns);
        var sum = 0f;
        for (var row = run * Run; row < (run + 1) * Run && row < Rows; row++)
        {
            sum += X[(row * Columns) + column] * DY[(row * Columns) + column] * S[row];
        }

        Partial[index] = sum;
    }
}

/// <summary>y[c] += sum over rows of x[r, c], ascending; one thread per column.</summary>
internal struct AddRowsKernel : IElementKernel
{
    public ArrayView<float> X, Y;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        var sum = Y[index];
        for (var row = 0; row < Rows; row++)
        {
            sum += X[(row * Columns) + index];
        }

        Y[index] = sum;
    }
}
