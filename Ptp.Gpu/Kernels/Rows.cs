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

/// <summary>dTable[ids[r]] += dOutput[r]; one thread per column, so rows with the same id never meet.</summary>
internal struct EmbeddingBackwardKernel : IElementKernel
{
    public ArrayView<float> DOutput, DTable;
    public ArrayView<int> Ids;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        for (var row = 0; row < Rows; row++)
        {
            DTable[Ids[row] * Columns + index] += DOutput[row * Columns + index];
        }
    }
}

/// <summary>destination[slots[r]] = source[r]; one thread per column: for one slot the later row stays.</summary>
internal struct ScatterKernel : IElementKernel
{
    public ArrayView<float> Source, Destination;
    public ArrayView<int> Slots;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        for (var row = 0; row < Rows; row++)
        {
            if (Slots[row] >= 0)
            {
                Destination[Slots[row] * Columns + index] = Source[row * Columns + index];
            }
        }
    }
}

/// <summary>(a, b) -> (a cos - b sin, b cos + a sin), a = x[i], b = x[i + K/2]; direction -1 turns back.</summary>
internal struct RopeKernel : IElementKernel
{
    public ArrayView<float> Cosine, Sine, X;
    public ArrayView<int> Positions;
    public int Half, PairsPerRow;
    public float Direction;

    public readonly void Element(int index)
    {
        var row = index / PairsPerRow;
        var pair = index - row * PairsPerRow;
        var head = pair / Half;
        var i = pair - head * Half;
        var a = 2 * (row * PairsPerRow + head * Half) + i;
        var b = a + Half;
        var turn = Positions[row] * Half + i;
        var (cosine, sine) = (Cosine[turn], Sine[turn] * Direction);
        var (x, y) = (X[a], X[b]);
        X[a] = x * cosine - y * sine;
        X[b] = y * cosine + x * sine;
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

/// <summary>dg += sum over r of x s dy; one thread per column.</summary>
internal struct RmsNormGainKernel : IElementKernel
{
    public ArrayView<float> X, S, DY, DGain;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        for (var row = 0; row < Rows; row++)
        {
            DGain[index] += X[row * Columns + index] * DY[row * Columns + index] * S[row];
        }
    }
}
