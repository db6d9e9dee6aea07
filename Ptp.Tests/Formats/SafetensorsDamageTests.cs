// Damaged safetensors files: always the four-part error or a file that is consistent, never a crash or a large buffer.
// Cases: truncation at every byte, every kind of lie in the header, random bytes; memory is measured in each.
// Not here: a changed weight, which no reader can know of.

using System.Text;
using Ptp.Core;
using Ptp.Core.Formats;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class SafetensorsDamageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string, string> Lies => new()
    {
        { "overlap", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""" },
        { "twice the same bytes", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "hole", """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""" },
        { "hole at the start", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""" },
        { "bytes left over", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""" },
        { "nothing but bytes", "{}" },
        { "beyond the end", """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""" },
        { "far beyond the end", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[9223372036854775795,9223372036854775807]}}""" },
        { "backwards", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[12,0]}}""" },
        { "negative offset", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[-12,0]}}""" },
        { "negative size", """{"a":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}}""" },
        { "two negative sizes", """{"a":{"dtype":"F32","shape":[-3,-1],"data_offsets":[0,12]}}""" },
        { "fraction", """{"a":{"dtype":"F32","shape":[3.0],"data_offsets":[0,12]}}""" },
        { "number beyond 64 bits", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,99999999999999999999]}}""" },
        { "shape of other size", """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}""" },
        { "shape that overflows to fit", """{"a":{"dtype":"F32","shape":[4294967296,4294967296,3],"data_offsets":[0,12]}}""" },
        { "product that is 3 again after overflow", """{"a":{"dtype":"F32","shape":[22809539,93251,5531,49],"data_offsets":[0,12]}}""" },
        { "huge shape", """{"a":{"dtype":"F32","shape":[2147483647,2147483647],"data_offsets":[0,12]}}""" },
        { "huge size beside none", """{"a":{"dtype":"F32","shape":[0,4294967296],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "unknown dtype", """{"a":{"dtype":"F31","shape":[3],"data_offsets":[0,12]}}""" },
        { "dtype is a number", """{"a":{"dtype":32,"shape":[3],"data_offsets":[0,12]}}""" },
        { "no dtype", """{"a":{"shape":[3],"data_offsets":[0,12]}}""" },
        { "no shape", """{"a":{"dtype":"F32","data_offsets":[0,12]}}""" },
        { "no offsets", """{"a":{"dtype":"F32","shape":[3]}}""" },
        { "one offset", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[12]}}""" },
        { "three offsets", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12,12]}}""" },
        { "shape is a number", """{"a":{"dtype":"F32","shape":3,"data_offsets":[0,12]}}""" },
        { "shape of lists", """{"a":{"dtype":"F32","shape":[[3]],"data_offsets":[0,12]}}""" },
        { "dtype twice", """{"a":{"dtype":"F32","dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "name twice", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "name twice, one escaped", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"\u0061":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}""" },
        { "half a surrogate pair", """{"\uD800":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "metadata is a text", """{"__metadata__":"x","a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "metadata of numbers", """{"__metadata__":{"x":1},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "metadata twice", """{"__metadata__":{},"__metadata__":{},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "note twice", """{"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""" },
        { "tensor is a list", """{"a":[]}""" },
        { "a list", """[]""" },
        { "no JSON", "hello" },
        { "nothing", "" },
        { "spaces", "        " },
        { "comment", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}//""" },
        { "two objects", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}{}""" },
        { "open end", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}""" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void Lies_of_the_header_are_refused(string lie, string header)
    {
        Assert.NotNull(lie);
        Assert.IsType<PtpException>(Open(File12(header), out _));
    }

    [Fact]
    public void Control_the_honest_header_is_read() =>
        Assert.Null(Open(File12("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"""), out _));

    [Fact]
    public void Bad_UTF8_is_refused()
    {
        var file = File12("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""");
        file[8 + 2] = 0xFF;
        Assert.IsType<PtpException>(Open(file, out _));
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        var deep = new string('[', 100_000);
        Assert.IsType<PtpException>(Open(File12(deep), out _));
        Assert.IsType<PtpException>(Open(File12("{\"a\":{\"x\":" + deep), out _));
    }

    [Fact]
    public void Truncation_at_every_byte_is_refused()
    {
        var whole = Written(7);
        Assert.Null(Open(whole, out _)); // control
        for (var length = 0; length < whole.Length; length++)
        {
            Assert.True(Open(whole[..length], out _) is PtpException, $"length {length}");
        }

        Assert.IsType<PtpException>(Open([.. whole, 0], out _));
    }

    [Fact]
    public void Every_wrong_header_length_is_refused()
    {
        var whole = Written(7);
        var right = BitConverter.ToInt64(whole);
        var lengths = Enumerable.Range(0, whole.Length + 20).Select(length => (long)length)
            .Concat([1L << 20, 99_999_999, 100_000_000, 100_000_001, int.MaxValue])
            .Concat([1L << 40, long.MaxValue, -1, long.MinValue]);
        foreach (var length in lengths.Where(length => length != right))
        {
            SafetensorsTests.Prefix(length).CopyTo(whole, 0);
            // Padding is part of the header: without some of its spaces the values start early, and are too many.
            Assert.True(Open(whole, out var allocated) is PtpException, $"header length {length}");
            Assert.InRange(allocated, 0, 100_000);
        }
    }

    // 1,000 generated files with 1 to 3 changed bytes, most of them in the header.
    [Fact]
    public void Random_bytes_never_crash_or_allocate_much()
    {
        var (refused, read) = (0, 0);
        for (var seed = 0; seed < 1000; seed++)
        {
            var random = new Random(seed);
            var file = Written(seed % 20);
            var header = 8 + (int)BitConverter.ToInt64(file);
            for (var change = random.Next(3); change >= 0; change--)
            {
                file[random.Next(random.Next(5) == 0 ? file.Length : header)] = (byte)random.Next(256);
            }

            var error = Open(file, out var allocated);
            Assert.True(error is null or PtpException, $"seed {seed}: {error}");
            Assert.True(allocated < 100_000 + (40 * file.Length), $"seed {seed}: {allocated} bytes allocated");
            _ = error is null ? read++ : refused++;
        }

        Assert.InRange(refused, 500, 999);
        Assert.InRange(read, 1, 500); // a byte of a value, a name or a space changes nothing that can be checked
    }

    [Theory]
    [InlineData("""{"weight_map": {"a": "../outside.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": "/etc/passwd"}}""")]
    [InlineData("""{"weight_map": {"a": ".."}}""")]
    [InlineData("""{"weight_map": {"a": "absent.safetensors"}}""")]
    [InlineData("""{"weight_map": {"other": "shard.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": "shard.safetensors", "a": "shard.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": 1}}""")]
    [InlineData("""{"weight_map": []}""")]
    [InlineData("""{"weight_map": {"\uD800": "shard.safetensors"}}""")]
    [InlineData("""{"weight_map": {"a": "\uD800"}}""")]
    [InlineData("""{}""")]
    [InlineData("""[]""")]
    [InlineData("")]
    public void A_bad_index_is_refused(string index)
    {
        Safetensors.Write(Path.Combine(_folder, "shard.safetensors"), [new("a", [1], [1])]);
        var path = Path.Combine(_folder, Safetensors.IndexName);
        File.WriteAllText(path, index);
        Assert.Throws<PtpException>(() => SafetensorsFolder.Open(_folder));

        File.WriteAllText(path, """{"weight_map": {"a": "shard.safetensors"}}""");
        using var control = SafetensorsFolder.Open(_folder);
        Assert.Equal([1f], control.Read("a"));
    }

    [Fact]
    public void What_is_no_file_is_refused()
    {
        Assert.Throws<PtpException>(() => SafetensorsFile.Open(_folder));
        Assert.Throws<PtpException>(() => SafetensorsFile.Open(Path.Combine(_folder, "absent")));
        Assert.Throws<PtpException>(() => SafetensorsFile.Open(""));
        if (File.Exists("/dev/null"))
        {
            Assert.Throws<PtpException>(() => SafetensorsFile.Open("/dev/null"));
        }
    }

    // The file's bytes with 12 bytes of values behind the header.
    private static byte[] File12(string header)
    {
        var json = Encoding.UTF8.GetBytes(header);
        return [.. SafetensorsTests.Prefix(json.Length), .. json, .. new byte[12]];
    }

    private static byte[] Written(int seed)
    {
        using var stream = new MemoryStream();
        Safetensors.Write(stream, [.. RandomTensors.Some(seed), new("last", [3], [1, 2, 3])], (StoredType)(seed % 3));
        return stream.ToArray();
    }

    // Opens and reads everything; the tensors of a file that opens must tile its values.
    private Exception? Open(byte[] bytes, out long allocated)
    {
        var path = Path.Combine(_folder, "damaged.safetensors");
        File.WriteAllBytes(path, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Record.Exception(() =>
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var name in file.Names)
            {
                var count = file.ShapeOf(name).Aggregate(1, (product, size) => product * size);
                Assert.Equal(count, file.Read(name).Length);
            }
        });
        allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        return error;
    }
}
