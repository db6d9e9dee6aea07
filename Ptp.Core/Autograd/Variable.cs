// What the tape works on: a tensor with a place for its gradient, and a parameter with its optimiser's view.
// A parameter also keeps its packed forms, made when first needed and again after each change.
// Refuses: higher-order gradients.

using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

/// <summary>A value of one pass; <see cref="Gradient"/> is null where no gradient flows.</summary>
/// <remarks>One that a <see cref="Tape"/> made is the tape's: after its Reset the same object stands for another value.</remarks>
public sealed class Variable
{
    private readonly Tape? _tape;

    /// <summary>A value that no tape made.</summary>
    public Variable(Tensor value, Tensor? gradient) => (Value, Gradient) = (value, gradient);

    internal Variable(Tape tape)
        : this(null!, null) => _tape = tape;

    /// <summary>The number itself, [R, C].</summary>
    public Tensor Value { get; private set; }

    /// <summary>d loss / d value, [R, C], or null.</summary>
    public Tensor? Gradient { get; internal set; }

    /// <summary>Rows [start, start + count) of value and gradient, shared.</summary>
    public Variable Slice(int start, int count)
    {
        if (start == 0 && count == Value.Rows)
        {
            return this;
        }

        // What is written to a part is added to the whole, so the whole must hold something first.
        var (value, gradient) = (Value.Slice(start, count), Gradient is null ? null : (_tape?.Whole(this) ?? Gradient).Slice(start, count));
        return _tape?.Make(value, gradient, unwritten: false) ?? new Variable(value, gradient);
    }

    /// <summary>True while nothing was written to the gradient, whose memory then holds anything.</summary>
    internal bool Unwritten { get; set; }

    internal Variable Set(Tensor value, Tensor? gradient, bool unwritten)
    {
        (Value, Gradient, Unwritten) = (value, gradient, unwritten);
        return this;
    }
}

/// <summary>A learned tensor.</summary>
public sealed class Parameter
{
    private PackedMatrix? _forward;
    private PackedMatrix? _backward;
    private bool _forwardFresh;
    private bool _backwardFresh;

    /// <summary>A parameter of zeros on <paramref name="backend"/>.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="name">Its name in files.</param>
    /// <param name="rows">N, or 1 for a vector.</param>
    /// <param name="columns">K.</param>
    /// <param name="isVector">True for gains, which are stored with one dimension and never decayed.</param>
    public Parameter(IBackend backend, string name, int rows, int columns, bool isVector = false)
    {
        (Backend, Name, IsVector) = (backend, name, isVector);
        Value = backend.Allocate(rows, columns);
    }

    private Parameter(Parameter of, WeightFormat format) =>
        (Backend, Name, IsVector, Value, Format) = (of.Backend, of.Name, of.IsVector, of.Value, format);

    /// <summary>Its backend.</summary>
    public IBackend Backend { get; }

    /// <summary>Its name in files; who puts several modules into one file may say which one it belongs to.</summary>
    public string Name { get; internal set; }

    /// <summary>True for a one-dimensional parameter.</summary>
    public bool IsVector { get; }

    /// <summary>The weights, [N, K].</summary>
    public Tensor Value { get; }

    /// <summary>How products of inference store it.</summary>
    public WeightFormat Format { get; private set; }

    /// <summary>Accumulated gradient, or null while frozen.</summary>
    public Tensor? Gradient { get; private set; }

    /// <summary>Shape as stored in files.</summary>
    public int[] StoredShape => IsVector ? [Value.Columns] : [Value.Rows, Value.Columns];

    /// <summary>Starts (or stops) collecting gradients.</summary>
    public void SetTrainable(bool trainable)
    {
        Guard.Require(!trainable || Format == WeightFormat.Exact, "Train a weight", $"{Name}, stored as {Format}", "an exact weight",
            "Load the model without another storage of weights.");
        Gradient = trainable ? Gradient ?? Backend.Allocate(Value.Rows, Value.Columns) : null;
    }

    /// <summary>Stores the weight otherwise for products from now on; a trainable one stays exact.</summary>
    public void Store(WeightFormat format)
    {
        Guard.Require(format == WeightFormat.Exact || Gradient is null, "Store a weight for inference", $"{Name}, which is being trained",
            "a frozen weight", "Stop its training first.");
        Format = format;
        Changed();
    }

    /// <summary>The same numbers in the same memory, stored otherwise for products of inference.</summary>
    internal Parameter Twin(WeightFormat format) => new(this, IsVector ? WeightFormat.Exact : format);

    /// <summary>W packed for x W^T.</summary>
    public PackedMatrix Packed()
    {
        if (!_forwardFresh)
        {
            _forward = Backend.Pack(Value, false, _forward, Format);
            _forwardFresh = true;
        }

        return _forward!;
    }

    /// <summary>W packed for dY W.</summary>
    public PackedMatrix PackedTransposed()
    {
        if (!_backwardFresh)
        {
            _backward = Backend.Pack(Value, true, _backward);
            _backwardFresh = true;
        }

        return _backward!;
    }

    /// <summary>Must be called after <see cref="Value"/> was written.</summary>
    public void Changed() => (_forwardFresh, _backwardFresh) = (false, false);
}
