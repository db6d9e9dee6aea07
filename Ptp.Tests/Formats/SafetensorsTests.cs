// Safetensors: what is written is read back in all three number formats, single and sharded, byte for byte the same.
// Source: the safetensors format; System.Half and a search in double for the rounding.
// Not here: damaged files (SafetensorsDamageTests).

using System.Buffers.Binary;
using System.Text;
using Ptp.Core;
using Ptp.Core.Formats;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // 3 x 100 generated files.
    [Theory]
    [InlineData(StoredType.F32)]
    [InlineData(StoredType.F16)]
    [InlineData(StoredType.BF16)]
    public void What_is_written_is_read(StoredType type)
    {
        var path = Path.Combine(_folder, "x.safetensors");
        for (var seed = 0; seed < 100; seed++)
        {
            var tensors = RandomTensors.Some(seed);
            var notes = seed % 2 == 0
                ? null
                : new Dictionary<string, string> { ["b"] = "größer\n", ["a"] = $"{seed}" };
            Safetensors.Write(path, tensors, type, notes);
            using var file = SafetensorsFile.Open(path);
            Assert.Equal(notes ?? [], file.Metadata.ToDictionary());
            AssertSame(tensors, type, file.Names, file.ShapeOf, file.TypeOf, file.Read, $"seed {seed}");
        }
    }

    // 60 generated folders.
    [Fact]
    public void Shards_hold_what_one_file_would()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var tensors = RandomTensors.Some(seed, most: 12);
            var type = (StoredType)(seed % 3);
            var limit = 1 + (seed * 37 % 500);
            Safetensors.WriteFolder(_folder, tensors, type, limit);
            using var folder = SafetensorsFolder.Open(_folder);
            AssertSame(tensors, type, folder.Names, folder.ShapeOf, folder.TypeOf, folder.Read, $"seed {seed}");
            foreach (var path in Directory.GetFiles(_folder, "*.safetensors"))
            {
                using var shard = SafetensorsFile.Open(path);
                Assert.True(shard.Names.Count < 2
                    || shard.Names.Sum(name => shard.Read(name).Length * NumberFormats.Width(type)) <= limit, path);
            }
        }
    }

    [Fact]
    public void The_bytes_are_those_of_the_format()
    {
        using var stream = new MemoryStream();
        Safetensors.Write(stream, [new("b", [2], [1f, -2f]), new("a", [], [0.5f])], StoredType.BF16,
            new Dictionary<string, string> { ["k"] = "v" });
        var header = """{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}"""
            + ""","b":{"dtype":"BF16","shape":[2],"data_offsets":[2,6]}}""";
        header = header.PadRight((header.Length + 7) / 8 * 8);
        byte[] expected = [.. Prefix(header.Length), .. Encoding.UTF8.GetBytes(header), 0, 0x3F, 0x80, 0x3F, 0, 0xC0];
        Assert.Equal(expected, stream.ToArray());
    }

    [Fact]
    public void Equal_tensors_in_any_order_give_equal_bytes()
    {
        var tensors = RandomTensors.Some(9, most: 12);
        Assert.NotEmpty(tensors);
        using MemoryStream first = new(), second = new(), other = new();
        Safetensors.Write(first, tensors);
        Safetensors.Write(second, tensors.AsEnumerable().Reverse());
        Safetensors.Write(other, [.. tensors, new("more", [1], [1])]);
        Assert.Equal(first.ToArray(), second.ToArray());
        Assert.NotEqual(first.ToArray(), other.ToArray());
    }

    [Fact]
    public void Files_of_other_writers_are_read()
    {
        // Tensors out of name order, spaces, unknown fields, a format without weights beside one with them.
        const string Json = """
             { "z": {"shape": [1, 2], "dtype": "F32", "data_offsets": [0, 8], "note": [{}]},
               "count": {"dtype": "I64", "shape": [1], "data_offsets": [8, 16]},
               "empty": {"dtype": "F16", "shape": [0, 3], "data_offsets": [8, 8]} }
            """;
        var path = Path.Combine(_folder, "foreign.safetensors");
        byte[] values = [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 7, 0, 0, 0, 0, 0, 0, 0];
        File.WriteAllBytes(path, [.. Prefix(Json.Length), .. Encoding.UTF8.GetBytes(Json), .. values]);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(["z", "empty", "count"], file.Names);
        Assert.Equal([1f, -2f], file.Read("z"));
        Assert.Empty(file.Read("empty"));
        var error = Assert.Throws<PtpException>(() => file.TypeOf("count"));
        Assert.Contains("I64", error.Message, StringComparison.Ordinal);
        Assert.Throws<PtpException>(() => file.Read("count"));
        Assert.Throws<PtpException>(() => file.Read("absent"));
        Assert.Throws<PtpException>(() => file.Read("z", new float[3]));
    }

    // All 65,536 words of both formats, in runs long enough for the vector path and short enough for the other.
    [Theory]
    [InlineData(StoredType.F16)]
    [InlineData(StoredType.BF16)]
    public void Every_word_decodes_exactly_and_encodes_to_itself(StoredType type)
    {
        var bytes = new byte[2 * 65536];
        for (var word = 0; word < 65536; word++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * word), (ushort)word);
        }

        var values = new float[65536];
        NumberFormats.Decode(bytes, type, values);
        var again = new byte[bytes.Length];
        NumberFormats.Encode(values, type, again);
        var alone = new float[1];
        for (var word = 0; word < 65536; word++)
        {
            var expected = type == StoredType.F16
                ? (float)BitConverter.UInt16BitsToHalf((ushort)word)
                : BitConverter.UInt32BitsToSingle((uint)word << 16);
            NumberFormats.Decode(bytes.AsSpan(2 * word, 2), type, alone);
            if (float.IsNaN(expected))
            {
                Assert.True(float.IsNaN(values[word]) && float.IsNaN(alone[0]));
                NumberFormats.Decode(again.AsSpan(2 * word, 2), type, alone);
                Assert.True(float.IsNaN(alone[0]));
                continue;
            }

            Assert.Equal(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(values[word]));
            Assert.Equal(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(alone[0]));
            Assert.Equal((ushort)word, BinaryPrimitives.ReadUInt16LittleEndian(again.AsSpan(2 * word)));
        }
    }

    // 40,000 generated values, a quarter of them exact ties; control: cutting the bits off rounds half of them wrongly.
    [Fact]
    public void BF16_rounds_to_the_nearest_and_ties_to_even()
    {
        var random = new Random(5);
        var values = new float[40_000];
        for (var i = 0; i < values.Length; i++)
        {
            var bits = (uint)random.NextInt64(0x7F7F0000);
            values[i] = BitConverter.UInt32BitsToSingle(i % 4 == 0 ? (bits & 0xFFFF0000) | 0x8000 : bits);
            values[i] = random.Next(2) == 0 ? values[i] : -values[i];
        }

        var bytes = new byte[2 * values.Length];
        NumberFormats.Encode(values, StoredType.BF16, bytes);
        var cutIsWrong = 0;
        for (var i = 0; i < values.Length; i++)
        {
            var word = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(2 * i));
            var down = BitConverter.SingleToUInt32Bits(values[i]) >> 16;
            var (below, above) = (Distance(values[i], down), Distance(values[i], down + 1));
            var nearest = below < above || (below == above && down % 2 == 0) ? down : down + 1;
            Assert.True(nearest == word, $"value {i}: {values[i]:R}");
            cutIsWrong += down == nearest ? 0 : 1;
        }

        Assert.InRange(cutIsWrong, values.Length / 3, values.Length * 2 / 3);
    }

    [Theory]
    [InlineData(StoredType.F16, 65519.99f, 65520f)]
    [InlineData(StoredType.BF16, 3.396e38f, 3.3963e38f)]
    public void A_value_that_would_become_infinite_is_refused(StoredType type, float fits, float tooLarge)
    {
        using var stream = new MemoryStream();
        Safetensors.Write(stream, [new("w", [3], [1, -fits, float.NaN])], type);
        var error = Assert.Throws<PtpException>(
            () => Safetensors.Write(stream, [new("w", [3], [float.NaN, -tooLarge, 1])], type));
        Assert.Contains("'w'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_no_reader_could_read_is_not_written()
    {
        var path = Path.Combine(_folder, "never.safetensors");
        foreach (var tensors in (StoredTensor[][])[
            [new("a", [1], [1]), new("a", [1], [1])],
            [new("a", [2], [1])],
            [new("a", [-1], [])],
            [new("a", [int.MaxValue, int.MaxValue, 4], [])],
            [new("__metadata__", [1], [1])],
            [new("half \uD800 pair", [1], [1])]])
        {
            Assert.Throws<PtpException>(() => Safetensors.Write(path, tensors));
        }

        Assert.Empty(Directory.GetFiles(_folder));
    }

    // 4 MB in one tensor: the writer may not copy it, the reader into a buffer may not either.
    [Fact]
    public void Neither_side_makes_a_second_copy()
    {
        var tensor = new StoredTensor("w", [1 << 20], new float[1 << 20]);
        var path = Path.Combine(_folder, "big.safetensors");
        foreach (var type in Enum.GetValues<StoredType>())
        {
            Safetensors.Write(path, [tensor], type); // once before, for the shared pool's buffers
            var before = GC.GetAllocatedBytesForCurrentThread();
            Safetensors.Write(path, [tensor], type);
            using (var file = SafetensorsFile.Open(path))
            {
                file.Read("w", tensor.Values);
            }

            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 600_000);
        }
    }

    internal static byte[] Prefix(long length)
    {
        var prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, length);
        return prefix;
    }

    private static double Distance(float value, uint word) =>
        Math.Abs(Math.Abs((double)value) - BitConverter.UInt32BitsToSingle((word & 0x7FFF) << 16));

    private static void AssertSame(
        List<StoredTensor> tensors, StoredType type, IReadOnlyList<string> names, Func<string, int[]> shapeOf,
        Func<string, StoredType> typeOf, Func<string, float[]> read, string which)
    {
        var written = tensors.Select(tensor => tensor.Name);
        Assert.Equal(written.Order(StringComparer.Ordinal), names.Order(StringComparer.Ordinal));
        foreach (var tensor in tensors)
        {
            Assert.Equal(tensor.Shape, shapeOf(tensor.Name));
            Assert.Equal(type, typeOf(tensor.Name));
            var values = read(tensor.Name);
            Assert.Equal(tensor.Values.Length, values.Length);
            for (var i = 0; i < values.Length; i++)
            {
                var expected = tensor.Values[i];
                if (type == StoredType.F16)
                {
                    expected = (float)(Half)expected;
                }
                else if (type == StoredType.BF16)
                {
                    NumberFormats.RoundToBFloat16(new Span<float>(ref expected));
                }

                Assert.True(BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(values[i]),
                    $"{which}, {tensor.Name}[{i}]: {expected:R} became {values[i]:R}");
            }
        }
    }
}
