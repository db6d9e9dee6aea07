// ProphetNet as published: an encoder, and a decoder whose n streams predict n future tokens (Qi et al. 2020, arXiv 2001.04063).
//   stream s at place i: input e_s at the target's position i + 1, sees main rows j <= i - s (row 0 always) and itself; models P(y_{i+1} | y_{<=i-s}, x)
//   L = sum_s sum_i -log P_s(y_{i+1});  generation is autoregressive with stream 0; other streams change nothing and are left out
// Here norms stand before the sublayers, RoPE stands for learned positions and relative buckets, a gated MLP for GELU. At toy size:
// Refuses: a cache; generation computes the whole prefix anew.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>A source and its target, which begins with the start token.</summary>
/// <param name="Source">x, at least one token.</param>
/// <param name="Target">y_0 = start, y_1, ..., at least two tokens.</param>
public sealed record SentencePair(int[] Source, int[] Target);

/// <summary>The encoder-decoder form.</summary>
public sealed class ProphetNetSeq2Seq
{
    private readonly IBackend _backend;
    private readonly TransformerBlock[] _encoder;
    private readonly CrossBlock[] _decoder;
    private readonly Parameter _embeddings; // [V, D], shared by both sides and by the output
    private readonly Parameter _streams; // [n, D], e_s
    private readonly Parameter _memoryNorm;
    private readonly Parameter _finalNorm;

    /// <summary>A model with random weights.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="config">Sizes of encoder and decoder, each of that many layers.</param>
    /// <param name="streams">n.</param>
    /// <param name="seed">Of the weights.</param>
    public ProphetNetSeq2Seq(IBackend backend, TransformerConfig config, int streams, ulong seed)
    {
        Guard.Require(streams is >= 1 and <= 64, "Make a ProphetNet", $"{streams} streams", "1 to 64", "The paper takes 2.");
        (_backend, Config, Streams) = (backend, config.Validated(), streams);
        var (rope, random) = (Transformer.MakeRope(backend, Config), new RandomStream(seed, "prophetnet"));
        _embeddings = new Parameter(backend, "embed_tokens.weight", Config.VocabularySize, Config.HiddenSize);
        _streams = new Parameter(backend, "streams.weight", streams, Config.HiddenSize);
        _encoder = [.. Enumerable.Range(0, Config.Layers).Select(layer => new TransformerBlock(backend, Config, rope, $"encoder.layers.{layer}."))];
        _decoder = [.. Enumerable.Range(0, Config.Layers).Select(layer => new CrossBlock(backend, Config, rope, $"decoder.layers.{layer}."))];
        _memoryNorm = new Parameter(backend, "encoder.norm.weight", 1, Config.HiddenSize, isVector: true);
        _finalNorm = new Parameter(backend, "decoder.norm.weight", 1, Config.HiddenSize, isVector: true);
        Initialise.Constant(_memoryNorm, 1f);
        Initialise.Constant(_finalNorm, 1f);
        Initialise.Gaussian(_embeddings, random, 0.02);
        Initialise.Gaussian(_streams, random, 0.02);
        Array.ForEach(_encoder, block => block.Randomise(random, Config.Layers));
        Array.ForEach(_decoder, block => block.Randomise(random, Config.Layers));
    }

    /// <summary>Sizes.</summary>
    public TransformerConfig Config { get; }

    /// <summary>n.</summary>
    public int Streams { get; }

    /// <summary>Every parameter once.</summary>
    public IReadOnlyList<Parameter> Parameters =>
        [_embeddings, _streams, .. _encoder.SelectMany(b => b.Parameters), _memoryNorm, .. _decoder.SelectMany(b => b.Parameters), _finalNorm];

    /// <summary>Logits of all streams at all places, [n sum(T - 1), V]: stream by stream, in each pair by pair, place by place.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="pairs">Pairs; of targets all but the last token are read.</param>
    /// <param name="streams">How many streams to run; the others are left out.</param>
    public Variable Logits(Tape tape, IReadOnlyList<SentencePair> pairs, int streams)
    {
        Guard.Require(streams >= 1 && streams <= Streams, "Run a ProphetNet", $"{streams} streams", $"1 to {Streams}", "Ask for streams it has.");
        Guard.Require(pairs.All(p => p.Source.Length > 0 && p.Target.Length > 1 && p.Target.Length < Config.MaxContext), "Run a ProphetNet",
            "a pair without a source or a target, or a target too long", $"sources of a token or more, targets of 2 to {Config.MaxContext - 1}", "Leave it out.");
        var memory = Encode(tape, pairs);
        var (width, sources) = (pairs.Sum(p => p.Target.Length - 1), memory.Value.Rows);
        var rows = (1 + streams) * width;
        var (positions, visibility, reads) = (new int[rows], new Visibility(), new Visibility().AddCausal(0, 0, sources));
        for (var stream = -1; stream < streams; stream++) // -1: the main stream
        {
            var (row, source, start) = ((1 + stream) * width, 0, 0);
            foreach (var pair in pairs)
            {
                for (var place = 0; place < pair.Target.Length - 1; place++, row++)
                {
                    positions[row] = stream < 0 ? place : place + 1;
                    visibility.AddRow(0, 0).AddRange(start, start + 1 + Math.Max(0, place - Math.Max(0, stream)));
                    if (stream >= 0)
                    {
                        visibility.AddRange(row, row + 1);
                    }

                    reads.AddRow(0, 0).AddRange(source, source + pair.Source.Length);
                }

                (source, start) = (source + pair.Source.Length, start + pair.Target.Length - 1);
            }
        }

        var x = tape.Empty(rows, Config.HiddenSize);
        tape.Embedding(_embeddings, [.. pairs.SelectMany(p => p.Target[..^1])], x.Slice(0, width));
        tape.Embedding(_streams, [.. Enumerable.Range(0, streams * width).Select(i => i / width)], x.Slice(width, rows - width));
        foreach (var block in _decoder)
        {
            x = block.Run(tape, x, new CallRows(positions, visibility), memory, reads);
        }

        return tape.MatMul(tape.RmsNorm(x.Slice(width, rows - width), _finalNorm, Config.NormEpsilon), _embeddings);
    }

    /// <summary>Sum of the losses of all streams, and the number of their targets; recorded on the tape.</summary>
    public (double Loss, int Targets) Loss(Tape tape, IReadOnlyList<SentencePair> pairs)
    {
        int[] targets = [.. Enumerable.Range(0, Streams).SelectMany(_ => pairs.SelectMany(p => p.Target[1..]))];
        return (tape.CrossEntropy(Logits(tape, pairs, Streams), targets, []), targets.Length);
    }

    /// <summary>The likeliest continuation, token by token, with stream 0 alone.</summary>
    /// <param name="source">x.</param>
    /// <param name="start">y_0.</param>
    /// <param name="count">Tokens to write.</param>
    public int[] Write(int[] source, int start, int count)
    {
        var (tape, target, logits) = (new Tape(_backend), new List<int> { start }, new float[Config.VocabularySize]);
        for (var i = 0; i < count; i++)
        {
            tape.Reset();
            var all = Logits(tape, [new SentencePair(source, [.. target, start])], streams: 1).Value; // the last target is never read
            _backend.Download(all.Slice(all.Rows - 1, 1), logits);
            target.Add(Array.IndexOf(logits, logits.Max()));
        }

        return [.. target.Skip(1)];
    }

    /// <summary>The encoder's output, [sum S, D]; every token of a source sees the whole of it.</summary>
    private Variable Encode(Tape tape, IReadOnlyList<SentencePair> pairs)
    {
        int[] ids = [.. pairs.SelectMany(p => p.Source)];
        var (x, visibility, start) = (tape.Empty(ids.Length, Config.HiddenSize), new Visibility(), 0);
        foreach (var pair in pairs)
        {
            foreach (var _ in pair.Source)
            {
                visibility.AddRow(0, 0).AddRange(start, start + pair.Source.Length);
            }

            start += pair.Source.Length;
        }

        tape.Embedding(_embeddings, ids, x);
        int[] positions = [.. pairs.SelectMany(p => Enumerable.Range(0, p.Source.Length))];
        for (var layer = 0; layer < _encoder.Length; layer++)
        {
            x = _encoder[layer].Run(tape, x, new CallRows(positions, visibility), layer);
        }

        return tape.RmsNorm(x, _memoryNorm, Config.NormEpsilon);
    }
}
