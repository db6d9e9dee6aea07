// Sources, split, folder and mix on generated corpora: nothing on both sides, nothing lost, same input same bytes.
// Negative controls: a split that looks at blocks only, and a folder with one letter changed, must be caught.
// Refuses: checks that damage, bad names and bad weights are refused or counted.

using Ptp.Core;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class CorpusTests
{
    // 100 generated readings.
    [Fact]
    public void NoBlockAndNoTemplateIsOnBothSides()
    {
        var leaksOfControl = 0;
        for (var seed = 0; seed < 100; seed++)
        {
            var reading = Generated(seed);
            var (train, held, dropped) = CorpusSplit.Parts(reading, (ulong)seed);
            Assert.True(Shared(train, held, p => p.Block) == 0, $"seed {seed}: a block on both sides");
            Assert.True(Shared(train, held, p => p.Template) == 0, $"seed {seed}: a template on both sides");
            Assert.Equal(reading.Parts.Count, train.Count + held.Count + dropped);
            Assert.NotEmpty(train);

            // Control: the same blocks with every template made unique, which switches the rule off.
            var blind = reading with { Parts = [.. reading.Parts.Select((p, i) => p with { Template = $"{p.Template} {i}" })] };
            var control = CorpusSplit.Parts(blind, (ulong)seed);
            leaksOfControl += Shared(control.Train, control.HeldOut, p => p.Template[..p.Template.LastIndexOf(' ')]);
        }

        Assert.True(leaksOfControl > 0, "the control should leak");
    }

    // 100 generated readings.
    [Fact]
    public void TheHeldOutSideIsNearItsTargetAndJoiningLosesNothing()
    {
        for (var seed = 0; seed < 100; seed++)
        {
            var reading = Generated(seed) with { JoinShort = seed % 2 == 0 };
            var (train, held, _) = CorpusSplit.Parts(reading, 5);
            var split = CorpusSplit.Of(reading, 5);
            Assert.Equal(Letters(train.Select(p => p.Text)), Letters(split.Train.Select(d => d.Text)));
            Assert.Equal(Letters(held.Select(p => p.Text)), Letters(split.HeldOut.Select(d => d.Text)));
            var share = held.Sum(p => p.Text.Length) / (double)reading.Parts.Sum(p => p.Text.Length);
            Assert.True(share is > 0 and < 0.14, $"seed {seed}: {share} held out");
            if (reading.JoinShort)
            {
                Assert.All(split.Train.SkipLast(1), d => Assert.InRange(d.Text.Length, 300, 2000));
            }
        }
    }

    [Fact]
    public void StoriesAreCutCleanedAndDeduplicated()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Put("s.txt",
            "\uFEFFOne day\r\nit rained.\n<|endoftext|>\nTwo suns\u0002 rose.\n<|endoftext|>\nTwo suns  rose.\n<|endoftext|>\n"
            + "Three \uFFFD.\n<|endoftext|>\nIt\u00e2\u20ac\u2122s broken.\n<|endoftext|>\nTwo suns  rose.\n<|endoftext|>\nThis one was cut o");
        var reading = CorpusSources.Stories(path);
        Assert.Equal(["One day\nit rained.", "Two suns  rose."], reading.Parts.Select(p => p.Text));
        Assert.Equal((3, 1, 2), (reading.Damaged, reading.ControlCharacters, reading.Duplicates));
    }

    // 60 generated texts: short paragraphs, long paragraphs, no spaces at all.
    [Fact]
    public void PlainTextIsCutWithoutLossIntoDocumentsOfSensibleLength()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var kind = seed % 3;
            var paragraphs = Enumerable.Range(0, 60).Select(_ => Paragraph(random, kind)).ToList();
            var text = string.Join("\n\n", paragraphs);
            var cut = CorpusSources.CutPlain(text).ToList();
            Assert.Equal(Letters([text]), Letters(cut.Select(c => c.Text)));
            Assert.All(cut, c => Assert.True(c.Text.Length <= 2002, $"seed {seed}: {c.Text.Length} characters"));
            if (kind == 0)
            {
                Assert.All(cut.SkipLast(1), c => Assert.InRange(c.Text.Length, 400, 2002));
            }
            else
            {
                Assert.Equal(60, cut.Select(c => c.Block).Distinct().Count());
                Assert.All(cut, c => Assert.False(char.IsLowSurrogate(c.Text[0])));
            }
        }
    }

    [Fact]
    public void AFolderIsTheSameBytesEachTimeAndReadsBack()
    {
        using var folder = new TemporaryFolder();
        var readings = new[] { Generated(1) with { Name = "one" }, Generated(2) with { Name = "two", JoinShort = true } };
        foreach (var name in new[] { "a", "b" })
        {
            var builder = new CorpusBuilder { Seed = 3 };
            foreach (var reading in readings)
            {
                builder.Add(reading);
            }

            builder.Build(folder.At(name));
        }

        Assert.Equal(File.ReadAllBytes(folder.At("a", "corpus.json")), File.ReadAllBytes(folder.At("b", "corpus.json")));
        var read = CorpusFolder.Read(folder.At("a"));
        Assert.Equal(readings.SelectMany(r => CorpusSplit.Of(r, 3).Train), read.Train);
        Assert.Equal(readings.SelectMany(r => CorpusSplit.Of(r, 3).HeldOut), read.HeldOut);
        Assert.Equal(5, Directory.GetFiles(folder.At("a"), "*", SearchOption.AllDirectories).Length);
    }

    [Fact]
    public void AnAlteredFolderIsRefused()
    {
        using var folder = new TemporaryFolder();
        new CorpusBuilder().Add(Generated(1)).Build(folder.Path);
        var file = folder.At("train", "generated.txt");
        var text = File.ReadAllText(file);
        File.WriteAllText(file, text.Replace("word", "Word", StringComparison.Ordinal));
        Assert.Throws<PtpException>(() => CorpusFolder.Read(folder.Path));
        File.WriteAllText(file, text);
        Assert.NotEmpty(CorpusFolder.Read(folder.Path).Train);

        var index = folder.At("corpus.json");
        var json = File.ReadAllText(index);
        foreach (var bad in new[] { "", "[]", "{}", json[..^9], json.Replace("generated", "../x", StringComparison.Ordinal),
            json.Replace("sha256", "sha1", StringComparison.Ordinal) })
        {
            File.WriteAllText(index, bad);
            Assert.Throws<PtpException>(() => CorpusFolder.Read(folder.Path));
        }

        File.WriteAllText(index, json);
        File.Delete(file);
        Assert.Throws<PtpException>(() => CorpusFolder.Read(folder.Path));
        Assert.Throws<PtpException>(() => CorpusFolder.Read(folder.At("none")));
    }

    [Fact]
    public void ABuilderRefusesWhatItCannotUse()
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<PtpException>(() => new CorpusBuilder().Build(folder.Path));
        Assert.Throws<PtpException>(() => new CorpusBuilder().Add(Generated(1)).Add(Generated(2)));
        Assert.Throws<PtpException>(() => new CorpusBuilder().Add(Generated(1) with { Name = "a/b" }));
        Assert.Throws<PtpException>(() => new CorpusBuilder().Add(CorpusSources.Plain("empty", folder.Put("e.txt", " \n\n"))));
        Assert.Throws<PtpException>(() => CorpusSources.Stories(folder.At("none.txt")));
        var blocked = folder.Put("file", "in the way");
        Assert.Throws<PtpException>(() => new CorpusBuilder().Add(Generated(1)).Build(blocked));
    }

    // 50 seeds.
    [Fact]
    public void AMixRepeatsByWeightAndShufflesBySeed()
    {
        var documents = Enumerable.Range(0, 400).Select(i => new Document(i < 100 ? "a" : i < 300 ? "b" : "c", "text " + i)).ToList();
        var mix = CorpusMix.Parse("a=2, b=0.5,c=0");
        for (ulong seed = 0; seed < 50; seed++)
        {
            var order = mix.Epoch(documents, seed);
            Assert.Equal(order, mix.Epoch(documents, seed));
            Assert.NotEqual(order, mix.Epoch(documents, seed, 1));
            Assert.NotEqual(order.Order(), order);
            Assert.Equal(200, order.Count(i => i < 100));
            Assert.All(order.Where(i => i < 100).GroupBy(i => i), g => Assert.Equal(2, g.Count()));
            Assert.InRange(order.Count(i => i is >= 100 and < 300), 55, 145);
            Assert.DoesNotContain(order, i => i >= 300);
        }

        Assert.Equal(Enumerable.Range(0, 400), CorpusMix.Even.Epoch(documents, 1).Order());
    }

    [Theory]
    [InlineData("a")]
    [InlineData("a=b")]
    [InlineData("a=-1")]
    [InlineData("a=NaN")]
    [InlineData("a=1e9")]
    [InlineData("a=1,a=2")]
    public void BadMixesAreRefused(string text) => Assert.Throws<PtpException>(() => CorpusMix.Parse(text));

    [Fact]
    public void AMixThatLeavesNothingIsRefused() =>
        Assert.Throws<PtpException>(() => CorpusMix.Parse("a=0").Epoch([new Document("a", "text")], 0));

    private static CorpusReading Generated(int seed)
    {
        var random = new Random(seed);
        var parts = new List<CorpusPart>();
        for (var i = 0; i < 1500; i++)
        {
            // One part in four uses a template of a small set that many blocks share.
            var template = random.Next(4) == 0 ? "shared " + random.Next(40) : "own " + i;
            var words = Enumerable.Range(0, random.Next(8, 80)).Select(_ => "word" + random.Next(1000));
            parts.Add(new CorpusPart("block " + i / 10, template, $"{i} {string.Join(' ', words)}."));
        }

        return new CorpusReading("generated", parts);
    }

    private static string Paragraph(Random random, int kind) => kind switch
    {
        0 => Sentences(random, random.Next(1, 12)),
        1 => Sentences(random, random.Next(60, 90)),
        _ => string.Concat(Enumerable.Range(0, random.Next(1500, 3000)).Select(_ => random.Next(3) == 0 ? "\U0001F600" : "x")),
    };

    private static string Sentences(Random random, int count) => string.Join(' ', Enumerable.Range(0, count)
        .Select(_ => string.Join(' ', Enumerable.Range(0, random.Next(2, 15)).Select(_ => "term" + (char)('a' + random.Next(26)))) + "."));

    private static int Shared(List<CorpusPart> a, List<CorpusPart> b, Func<CorpusPart, string> key) =>
        a.Select(key).Intersect(b.Select(key)).Count();

    private static string Letters(IEnumerable<string> texts) =>
        string.Concat(texts.Select(t => string.Concat(t.Where(c => !char.IsWhiteSpace(c)))));
}
