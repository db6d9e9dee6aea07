// ptp tokenizer train: a byte-level BPE vocabulary out of a prepared corpus or of text files.
// Each corpus gives the same number of bytes, evenly picked, so that the largest one does not own the vocabulary.
// Refuses: a vocabulary smaller than 256 bytes and the special token, no text at all.

using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Text;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Trains a tokenizer.</summary>
internal sealed class TokenizerTrainVerb : Verb
{
    /// <summary>Bytes of each corpus that a vocabulary is made from.</summary>
    public const int DefaultBytes = 2_500_000;

    private readonly Option<string?> _corpus = Values.Text(
        "--corpus", "Folder that 'ptp corpus' wrote; its training side is used.", "FOLDER");
    private readonly Option<string[]> _text = Values.Texts(
        "--text", "UTF-8 text file; each counts as one corpus.", "FILE");
    private readonly Option<int> _vocabulary = Values.Whole(
        "--vocab", "Ids wanted: 256 bytes, merges, and <|endoftext|>.", 2048, 257, 1 << 21);
    private readonly Option<int> _bytes = Values.Whole(
        "--bytes-per-corpus", "Most bytes of text taken from each corpus.", DefaultBytes, 1, unit: "BYTES");
    private readonly Option<string?> _output = Values.Text("--output", "File to write.", "FILE", "tokenizer.json");

    public TokenizerTrainVerb()
        : base(
            "train",
            "Train a byte-level BPE tokenizer and write it as tokenizer.json, the form of Hugging Face. Any text and any bytes "
            + "survive encoding and decoding. The last id is <|endoftext|>, which begins and ends every text.",
            "ptp tokenizer train --corpus runs/corpus --vocab 2048 --output runs/base/tokenizer.json",
            "ptp tokenizer train --text book.txt --text notes.txt --vocab 4096")
    {
        _text.AllowMultipleArgumentsPerToken = true;
        foreach (var option in (Option[])[_corpus, _text, _vocabulary, _bytes, _output])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var documents = new List<Document>();
        if (call.Get(_corpus) is { } folder)
        {
            documents.AddRange(CorpusFolder.Read(folder).Train);
        }

        foreach (var path in call.Get(_text) ?? [])
        {
            documents.AddRange(HeldOutText.Split(path, CorpusText.Read(path, out _)));
        }

        Guard.Require(documents.Count > 0, "Train a tokenizer", "no text", "a corpus folder or text files",
            "Give --corpus FOLDER or --text FILE.");
        var output = call.Get(_output)!;
        var tokenizer = Train(call, documents, call.Get(_vocabulary), call.Get(_bytes));
        tokenizer.Save(output);
        var sample = documents.Where((_, i) => i % Math.Max(1, documents.Count / 200) == 0).ToList();
        var bytes = sample.Sum(d => (long)Encoding.UTF8.GetByteCount(d.Text));
        var rate = bytes / (double)Math.Max(1, sample.Sum(d => (long)tokenizer.Encode(d.Text).Length));
        call.Out.Line(Invariant($"{output}: {tokenizer.VocabularySize} ids, {rate:0.00} bytes per token on the training text"));
        call.Out.Result(new JsonObject
        {
            ["output"] = output,
            ["vocabulary_size"] = tokenizer.VocabularySize,
            ["merges"] = tokenizer.Merges.Count,
            ["bytes_per_token"] = Output.Number(rate),
        });
        return ErrorOutput.Done;
    }

    /// <summary>Trains on an even sample of each corpus.</summary>
    public static ByteLevelBpe Train(Call call, IReadOnlyList<Document> documents, int vocabulary, int bytesPerCorpus)
    {
        using var bar = new Progress(call.Out.Host, "tokenizer");
        return BpeTrainer.Train(
            Sample(documents, bytesPerCorpus), vocabulary, [CorpusText.Separator], new Report(bar), call.Cancellation);
    }

    private static IEnumerable<string> Sample(IReadOnlyList<Document> documents, int bytesPerCorpus)
    {
        foreach (var corpus in documents.GroupBy(d => d.Corpus))
        {
            var all = corpus.ToList();
            var step = (int)Math.Max(1, all.Sum(d => (long)d.Text.Length) / bytesPerCorpus);
            long taken = 0;
            for (var i = 0; i < all.Count && taken < bytesPerCorpus; i += step)
            {
                taken += all[i].Text.Length;
                yield return all[i].Text;
            }
        }
    }

    // Progress<T> would report on another thread, after the bar is gone.
    private sealed class Report(Progress bar) : IProgress<BpeProgress>
    {
        void IProgress<BpeProgress>.Report(BpeProgress value) => bar.Report(
            value.Done, value.Total, Invariant($"{value.Done} {(value.Merging ? "tokens" : "documents")}"));
    }
}
