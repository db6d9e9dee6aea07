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
