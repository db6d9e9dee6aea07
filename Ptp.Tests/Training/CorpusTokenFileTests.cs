// Token files: what goes in comes out, for narrow and wide vocabularies, and no damage goes unnoticed.
// Damage is generated: every kind of truncation, single flipped bits anywhere, and headers that promise absurd sizes.
// Refuses: checks ids outside the vocabulary, and that a failed write leaves nothing behind.

using System.Buffers.Binary;
using Ptp.Core;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class CorpusTokenFileTests
{
    // 25 generated files, empty documents and empty files included.
    [Fact]
    public void DocumentsComeBack()
    {
        using var folder = new TemporaryFolder();
        for (var seed = 0; seed < 25; seed++)
        {
            var (vocabulary, documents) = Generated(seed);
            var path = folder.At("t.bin");
            TokenFile.Write(path, vocabulary, documents);
            var read = TokenFile.Read(path);
            Assert.Equal(vocabulary, read.VocabularySize);
            Assert.Equal(documents.Sum(d => (long)d.Length), read.Tokens);
            Assert.Equal(documents, Enumerable.Range(0, read.Documents).Select(read.Document));
            if (documents.Count > 0 && documents[0].Length > 1)
            {
                var tail = new int[documents[0].Length - 1];
                read.CopyTo(0, 1, tail);
                Assert.Equal(documents[0][1..], tail);
                Assert.Throws<PtpException>(() => read.CopyTo(0, 2, new int[tail.Length]));
            }
        }
    }

    // 400 damaged files made of 20 sound ones, each of which is read before the damage.
    [Fact]
    public void DamageIsNoticed()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("t.bin");
        byte[] sound = [];
        for (var seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            if (seed % 20 == 0)
            {
                var (vocabulary, documents) = Generated(seed / 20);
                TokenFile.Write(path, vocabulary, documents);
                Assert.Equal(documents.Count, TokenFile.Read(path).Documents);
                sound = File.ReadAllBytes(path);
            }

            var bytes = sound.ToArray();
            switch (seed % 3)
            {
                case 0:
                    bytes = bytes[..random.Next(bytes.Length)];
                    break;
                case 1:
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                default:
                    bytes = [.. bytes, .. new byte[random.Next(1, 20)]];
                    break;
            }

            File.WriteAllBytes(path, bytes);
            Assert.True(Record.Exception(() => TokenFile.Read(path)) is PtpException, $"seed {seed} went unnoticed");
        }
    }

    [Theory]
    [InlineData(12, int.MaxValue)]
    [InlineData(12, -1)]
    [InlineData(24, long.MaxValue)]
    [InlineData(24, long.MaxValue / 8 - 1)]
    [InlineData(24, -1)]
    [InlineData(32, long.MaxValue)]
    [InlineData(32, long.MaxValue / 2 - 3)]
    [InlineData(32, 200_000_000)]
    [InlineData(32, -2)]
    public void AbsurdSizesAllocateNothing(int at, long value)
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("t.bin");
        TokenFile.Write(path, 300, [[1, 2, 3], [299]]);
        var bytes = File.ReadAllBytes(path);
        if (at == 12)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), (int)value);
        }
        else
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at), value);
        }

        File.WriteAllBytes(path, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<PtpException>(() => TokenFile.Read(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void AWriteThatFailsLeavesTheOldFile()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("t.bin");
        TokenFile.Write(path, 10, [[1, 2]]);
        Assert.Throws<PtpException>(() => TokenFile.Write(path, 10, [[1], [10]]));
        Assert.Throws<PtpException>(() => TokenFile.Write(path, 10, [[-1]]));
        Assert.Throws<PtpException>(() => TokenFile.Write(path, 0, []));
        Assert.Equal([1, 2], TokenFile.Read(path).Document(0));
        Assert.Single(Directory.GetFiles(folder.Path));
        Assert.Throws<PtpException>(() => TokenFile.Read(folder.At("none")));
    }

    private static (int Vocabulary, List<int[]> Documents) Generated(int seed)
    {
        var random = new Random(seed);
        int[] sizes = [1, 512, 65_536, 65_537, 200_000];
        var vocabulary = sizes[seed % sizes.Length];
        var documents = Enumerable.Range(0, random.Next(6))
            .Select(_ => Enumerable.Range(0, random.Next(50)).Select(_ => random.Next(vocabulary)).ToArray()).ToList();
        return (vocabulary, documents);
    }
}
