// Models for ONNX Runtime, written by hand: one node each, in the wire format of protocol buffers.
//   field = varint(number << 3 | type), type 0 = varint, 2 = length and bytes
// Source: onnx.proto3, field numbers beside each call. Refuses: everything but float tensors of fixed shapes.

using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Ptp.Bench.Peers;

/// <summary>A tensor of a graph: its name and shape, and its values if they are constant.</summary>
internal sealed record OnnxTensor(string Name, long[] Shape, float[]? Values = null);

/// <summary>One operator.</summary>
/// <param name="Operator">Its type, such as MatMul.</param>
/// <param name="Inputs">Names it reads.</param>
/// <param name="Output">The name it writes.</param>
/// <param name="Domain">Empty for ONNX's own operators.</param>
/// <param name="Attributes">Whole numbers by name.</param>
internal sealed record OnnxNode(
    string Operator, string[] Inputs, string Output, string Domain = "", params (string Name, long Value)[] Attributes);

/// <summary>Bytes of a message.</summary>
internal sealed class OnnxGraph
{
    private const int Float = 1;
    private const int Whole = 2;
    private readonly ArrayBufferWriter<byte> _bytes = new();

    /// <summary>A ModelProto.</summary>
    public static byte[] Model(OnnxTensor[] inputs, OnnxTensor output, params OnnxNode[] nodes)
    {
        var graph = new OnnxGraph();
        Array.ForEach(nodes, node => graph.Field(1, Node(node)));
        graph.Field(2, "bench");
        Array.ForEach(inputs, input => graph.Field(input.Values is null ? 11 : 5, input.Values is null ? Info(input) : Constant(input)));
        graph.Field(12, Info(output));
        return new OnnxGraph().Field(1, 8) // ir_version
            .Field(7, graph)
            .Field(8, new OnnxGraph().Field(1, "").Field(2, 17)) // opset_import
            .Field(8, new OnnxGraph().Field(1, "com.microsoft").Field(2, 1))
            ._bytes.WrittenSpan.ToArray();
    }

    private static OnnxGraph Node(OnnxNode node)
    {
        var message = new OnnxGraph();
        Array.ForEach(node.Inputs, name => message.Field(1, name));
        message.Field(2, node.Output).Field(4, node.Operator).Field(7, node.Domain);
        foreach (var (name, value) in node.Attributes)
        {
            message.Field(5, new OnnxGraph().Field(1, name).Field(3, value).Field(20, Whole));
        }

        return message;
    }

    /// <summary>A ValueInfoProto: name, and a tensor type with its sizes.</summary>
    private static OnnxGraph Info(OnnxTensor tensor)
    {
        var shape = new OnnxGraph();
        Array.ForEach(tensor.Shape, size => shape.Field(1, new OnnxGraph().Field(1, size)));
        return new OnnxGraph().Field(1, tensor.Name).Field(2, new OnnxGraph().Field(1, new OnnxGraph().Field(1, Float).Field(2, shape)));
    }

    /// <summary>A TensorProto with its values as raw bytes.</summary>
    private static OnnxGraph Constant(OnnxTensor tensor)
    {
        var message = new OnnxGraph();
        Array.ForEach(tensor.Shape, size => message.Field(1, size));
        return message.Field(2, Float).Field(8, tensor.Name).Field(9, MemoryMarshal.AsBytes<float>(tensor.Values));
    }

    private OnnxGraph Field(int number, long value) => Varint((ulong)number << 3).Varint((ulong)value);

    private OnnxGraph Field(int number, string text) => Field(number, Encoding.UTF8.GetBytes(text));

    private OnnxGraph Field(int number, OnnxGraph message) => Field(number, message._bytes.WrittenSpan);

    private OnnxGraph Field(int number, ReadOnlySpan<byte> bytes)
    {
        Varint(((ulong)number << 3) | 2).Varint((ulong)bytes.Length)._bytes.Write(bytes);
        return this;
    }

    private OnnxGraph Varint(ulong value)
    {
        Span<byte> group = stackalloc byte[1];
        for (; value >= 0x80; value >>= 7)
        {
            group[0] = (byte)(value | 0x80);
            _bytes.Write(group);
        }

        group[0] = (byte)value;
        _bytes.Write(group);
        return this;
    }
}
