// Ops whose elements know nothing of each other: fill, add, scale, SwiGLU, AdamW, each backward under its forward.
// Equations are in IBackend. y may be one of the operands.
// Refuses: shape checks, which GpuBackend does.

using ILGPU;

namespace Ptp.Gpu.Kernels;

internal struct FillKernel : IElementKernel
{
    public ArrayView<float> Y;
    public float Value;

    public readonly void Element(int index) => Y[index] = Value;
}

internal struct AddKernel : IElementKernel
{
    public ArrayView<float> A, B, Y;

    public readonly void Element(int index) => Y[index] = A[index] + B[index];
}

internal struct AddScaledKernel : IElementKernel
{
    public ArrayView<float> X, Y;
    public float Factor;

    public readonly void Element(int index) => Y[index] = DeviceMath.Fma(X[index], Factor, Y[index]);
}

internal struct ScaleKernel : IElementKernel
{
    public ArrayView<float> X;
    public float Factor;

    public readonly void Element(int index) => X[index] *= Factor;
}

/// <summary>y = a / (1 + exp(-a)) b.</summary>
internal struct SwiGluKernel : IElementKernel
{
    public ArrayView<float> A, B, Y;

    public readonly void Element(int index) => Y[index] = A[index] / (1f + DeviceMath.Exp(-A[index])) * B[index];
}

/// <summary>y = a z b, z = 1 / (1 + exp(-a)); dz/da = z (1 - z), so da = dy b z (1 + a (1 - z)), db = dy a z.</summary>
internal struct SwiGluBackwardKernel : IElementKernel
{
    public ArrayView<float> A, B, DY, DA, DB;
    public float Keep; // 1 to add, 0 to write over what may be anything

    public readonly void Element(int index)
    {
        var (a, b, dy) = (A[index], B[index], DY[index]);
        var z = 1f / (1f + DeviceMath.Exp(-a));
        DA[index] = (Keep > 0f ? DA[index] : 0f) + dy * b * z * (1f + a * (1f - z));
        DB[index] = (Keep > 0f ? DB[index] : 0f) + dy * a * z;
    }
}

/// <summary>p = keep p - rate m / (root sqrt(v) + e); rate and root carry the start-up corrections.</summary>
internal struct AdamWKernel : IElementKernel
{
    public ArrayView<float> Gradient, M, V, Parameter;
    public float Beta1, Beta2, Rate, Root, Keep, Epsilon, GradientScale;

    public readonly void Element(int index)
    {
        var g = Gradient[index] * GradientScale;
        var m = Beta1 * M[index] + (1f - Beta1) * g;
        var v = Beta2 * V[index] + (1f - Beta2) * g * g;
        M[index] = m;
        V[index] = v;
        Parameter[index] = Parameter[index] * Keep - m * Rate / (MathF.Sqrt(v) * Root + Epsilon);
    }
}

/// <summary>Eight chains of fused multiply-adds that nothing but their number slows down: the floor of every product.</summary>
internal struct PeakKernel : IElementKernel
{
    public const int Chains = 8;
    public ArrayView<float> Y;
    public int Rounds;

    public readonly void Element(int index)
    {
        var x = 0.999f + Y[index];
        var (a, b, c, d, e, f, g, h) = (x, x + 1f, x + 2f, x + 3f, x + 4f, x + 5f, x + 6f, x + 7f);
        for (var i = 0; i < Rounds; i++)
        {
            (a, b, c, d) = (DeviceMath.Fma(a, x, 0.001f), DeviceMath.Fma(b, x, 0.001f), DeviceMath.Fma(c, x, 0.001f), DeviceMath.Fma(d, x, 0.001f));
            (e, f, g, h) = (DeviceMath.Fma(e, x, 0.001f), DeviceMath.Fma(f, x, 0.001f), DeviceMath.Fma(g, x, 0.001f), DeviceMath.Fma(h, x, 0.001f));
        }

        Y[index] = 1e-9f * (a + b + c + d + (e + f + g + h)) * 0f;
    }
}
