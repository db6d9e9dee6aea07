// Damaged tokenizer files: 300 cases for each of five forms, by cutting, overwriting, exchanging and inserting bytes.
// A damaged file either still reads or gives the four-part error: no other exception, no large allocation.
// Control: the undamaged file reads, and most damage is noticed where the form has any redundancy.

using System.Buffers.Binary;
using System.Text;
using Ptp.Core;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public sealed class TokenizerDamageTests : IDisposable
{
    private const int Cases = 300;
    private const long AllocationLimit = 8 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-damage-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Byte_level_json() => Damage(Saved(), bytes => TokenizerJson.Read(bytes, "json", TokenizerMarks.None));

    [Fact]
    public void Json_of_begin_and_end()
    {
        var tokenizer = Saved();
        Damage(
            """{"tokenizer_class":"X","bos_token":"<|endoftext|>","eos_token":{"content":"</s>"}}"""u8.ToArray(),
            bytes => TokenizerJson.Read(tokenizer, "json", TokenizerMarks.Read(bytes, "config")));
    }

    [Fact]
    public void Llama2c_pieces() => Damage(Llama2c(header: true), bytes => Llama2cFile.Read(bytes, "bin"));

    [Fact]
    public void SentencePiece_protocol_buffer() => Damage(ProtocolBuffer(), bytes => SentencePieceModel.Read(bytes, "model"));

    [Fact]
    public void Gpt2_merges()
    {
        var spelled = Enumerable.Range(0, 256).Select(b => $"\"{Escape(ByteAlphabet.Spell([(byte)b]))}\":{b}");
        var vocabulary = Encoding.UTF8.GetBytes("{" + string.Join(',', spelled) + ",\"th\":256,\"the\":257,\"<|endoftext|>\":258}");
        Damage(Encoding.UTF8.GetBytes("#version: 0.2\nt h\nth e\n"), bytes => Gpt2Files.Read(vocabulary, bytes, "merges"));
    }

    [Fact]
    public void Llama2c_without_the_longest_piece_reads_the_same()
    {
        var with = Tokenizer.Load(Write("a.bin", Llama2c(header: true)));
        var without = Tokenizer.Load(Write("b.bin", Llama2c(header: false)));
        Assert.Equal(with.Encode("the hat"), without.Encode("the hat"));
        Assert.Equal("the hat", with.Decode(with.Encode("the hat")));
    }

    [Fact]
    public void Both_forms_of_pieces_read_the_same() => Assert.Equal(
        Tokenizer.Load(Write("a.bin", Llama2c(header: true))).Encode("the hat th"),
        Tokenizer.Load(Write("a.model", ProtocolBuffer())).Encode("the hat th"));

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{\"model\":{}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1999999},\"merges\":[]},\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}")]
    public void Wrong_json_is_refused(string json) =>
        Assert.Throws<PtpException>(() => Tokenizer.Load(Write("tokenizer.json", Encoding.UTF8.GetBytes(json))));

    [Fact]
    public void Nesting_without_end_is_refused() => Assert.Throws<PtpException>(
        () => Tokenizer.Load(Write("tokenizer.json", Encoding.UTF8.GetBytes(new string('[', 100_000)))));

    [Fact]
    public void Bytes_that_are_no_utf8_are_refused()
    {
        var json = Saved();
        json[json.AsSpan().IndexOf("\"the\""u8) + 1] = 0xFF;
        Assert.Throws<PtpException>(() => Tokenizer.Load(Write("tokenizer.json", json)));
    }

    private static void Damage(byte[] whole, Func<byte[], Tokenizer> read)
    {
        read(whole);
        var noticed = 0;
        for (var seed = 0; seed < Cases; seed++)
        {
            var broken = Broken(whole, new Random(seed));
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read(broken).Encode("the hat");
            }
            catch (PtpException)
            {
                noticed++;
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {e}");
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < AllocationLimit, $"seed {seed}: {allocated} bytes");
        }

        Assert.True(noticed > Cases / 10, $"only {noticed} of {Cases} were noticed");
    }

    private static byte[] Broken(byte[] whole, Random random)
    {
        var at = random.Next(whole.Length);
        var bytes = whole.ToArray();
        switch (random.Next(5))
        {
            case 0:
                return bytes[..at];
            case 1:
                bytes[at] = (byte)random.Next(256);
                return bytes;
            case 2:
                var count = Math.Min(random.Next(1, 9), bytes.Length - at);
                random.NextBytes(bytes.AsSpan(at, count));
                return bytes;
            case 3:
                var other = random.Next(whole.Length);
                (bytes[at], bytes[other]) = (bytes[other], bytes[at]);
                return bytes;
            default:
                return [.. bytes[..at], .. bytes[random.Next(whole.Length)..], .. bytes[at..]];
        }
    }

    private static byte[] Saved()
    {
        using var stream = new MemoryStream();
        TokenizerJsonWriter.Write(BpeTrainer.Train(["the hat, the cat; the rat"], 270, ["<|endoftext|>"]), stream);
        return stream.ToArray();
    }

    private static IEnumerable<(string Text, float Score)> Pieces()
    {
        yield return ("<unk>", 0);
        yield return ("<s>", 0);
        yield return ("</s>", 0);
        for (var b = 0; b < 256; b++)
        {
            yield return ($"<0x{b:X2}>", 0);
        }

        string[] pieces = ["th", " the", " t", "at", " ", "t", "h", "e", "a"];
        for (var i = 0; i < pieces.Length; i++)
        {
            yield return (pieces[i], -i);
        }
    }

    private static byte[] Llama2c(bool header)
    {
        var bytes = new List<byte>(header ? [6, 0, 0, 0] : []);
        foreach (var (text, score) in Pieces())
        {
            var head = new byte[8];
            BinaryPrimitives.WriteSingleLittleEndian(head, score);
            BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(4), text.Length);
            bytes.AddRange(head);
            bytes.AddRange(Encoding.UTF8.GetBytes(text));
        }

        return [.. bytes];
    }

    private static byte[] ProtocolBuffer()
    {
        var bytes = new List<byte>();
        foreach (var (text, score) in Pieces())
        {
            var name = Encoding.UTF8.GetBytes(text.Replace(' ', '\u2581'));
            var type = text is "<s>" or "</s>" ? 3 : text == "<unk>" ? 2 : text.StartsWith("<0", StringComparison.Ordinal) ? 6 : 1;
            byte[] number = new byte[4];
            BinaryPrimitives.WriteSingleLittleEndian(number, score);
            byte[] piece = [0x0A, (byte)name.Length, .. name, 0x15, .. number, 0x18, (byte)type];
            bytes.AddRange([0x0A, (byte)piece.Length, .. piece]);
        }

        bytes.AddRange([0x12, 2, 0x18, 2]); // trainer: model type BPE
        bytes.AddRange([0x1A, 4, 0x18, 1, 0x20, 0]); // normalizer: dummy prefix, keep white space
        return [.. bytes];
    }

    private static string Escape(string text) => text is "\"" or "\\" ? "\\" + text : text;

    private string Write(string name, byte[] content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }
}
