// The contract of a normalizing flow: x -> (y, log|det dy/dx|), row by row; what a flow can undo is its type.
//   IBijector undoes in one pass;   ITriangularFlow undoes in D passes and says so by the name of the method;   IFlow alone does not undo
// Every flow runs twice: as plain code in double or float, and in batches on a tape of any backend. Refuses: dimensions that change.

using System.Numerics;
using Ptp.Core.Autograd;

namespace Ptp.Core.Heads.Flows;

/// <summary>A differentiable map of D numbers with a known Jacobian determinant.</summary>
public interface IFlow
{
    /// <summary>D.</summary>
    int Width { get; }

    /// <summary>What is trained.</summary>
    IEnumerable<Parameter> Parameters { get; }

    /// <summary>One point in the platform's arithmetic.</summary>
    /// <param name="x">[D].</param>
    /// <param name="y">Receives f(x), [D]; not the memory of <paramref name="x"/>.</param>
    /// <typeparam name="T">double or float.</typeparam>
    /// <returns>log|det df/dx|.</returns>
    T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T>;

    /// <summary>Many points on a backend.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="x">[R, D].</param>
    /// <param name="logSlopes">[R, D]; log|det| of a row is added to it in parts, so their sum counts.</param>
    /// <returns>f(x), [R, D].</returns>
    Variable Forward(Tape tape, Variable x, Variable logSlopes);
}

/// <summary>A flow that is undone as fast as it is done.</summary>
public interface IBijector : IFlow
{
    /// <summary>f^-1(y) and log|det df^-1/dy|, one point.</summary>
    T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>;

    /// <summary>f^-1(y), [R, D]; log|det df^-1/dy| is added to <paramref name="logSlopes"/>.</summary>
    Variable Inverse(Tape tape, Variable y, Variable logSlopes);
}

/// <summary>y_i depends on x_1..x_i: done in one pass, undone in D.</summary>
public interface ITriangularFlow : IFlow
{
    /// <summary>f^-1(y) and log|det df^-1/dy|, one point, one number after the other.</summary>
    T InverseInSteps<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>;

    /// <summary>f^-1(y), [R, D], by D sweeps over all numbers: after sweep i the first i are right.</summary>
    Variable InverseInSteps(Tape tape, Variable y, Variable logSlopes);
}
