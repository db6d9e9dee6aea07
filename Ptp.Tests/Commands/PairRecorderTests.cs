// Incompatible pairs against their definition, pair by pair: P(d0) = 0 or P(d1 | d0) = 0 under the law of decoding.
// Pairs, texts and laws are drawn at random; a narrow top-p makes about half of the pairs impossible.
// Also here: what Cli makes of an exception that nobody foresaw.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class PairRecorderTests
{
    [Seeds(40)]
    public void Counting_in_one_pass_equals_the_definition(int seed)
    {
        var random = new Random(seed);
        using var backend = new CpuBackend(1);
        var config = TransformerConfig.Named("4k", 12) with { MaxContext = 40 };
        var model = new Transformer(backend, config, (ulong)seed);
        foreach (var parameter in model.Parameters.Where(p => !p.IsVector))
        {
            Initialise.Gaussian(parameter, new RandomStream((ulong)seed, parameter.Name), 0.5);
        }

        var session = new ModelSession(
            model, new SamplingOptions { TopP = 0.3 + 0.6 * random.NextDouble() }, InverseCdf.Instance);
        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(12))];
        var (prompt, generated) = (Tokens(random.Next(1, 8)), Tokens(random.Next(1, 20)));
        var pairs = Enumerable.Range(0, generated.Length).Where(_ => random.Next(3) > 0)
            .Select(g => new PairRecorder.Pair(g, random.Next(12), random.Next(12))).ToList();

        var expected = 0;
        foreach (var pair in pairs)
        {
            int[] context = [.. prompt, .. generated[..pair.Index]];
            expected += Probability(context, pair.First) > 0 && Probability([.. context, pair.First], pair.Second) > 0 ? 0 : 1;
        }

        Assert.Equal(expected, PairRecorder.CountIncompatible(session, prompt, generated, pairs));

        float Probability(int[] context, int token)
        {
            session.Start(context);
            session.Verify([context[^1]]);
            return session.Law(0)[token];
        }
    }

    [Fact]
    public void What_nobody_foresaw_is_one_line_and_exit_code_1()
    {
        using var error = new StringWriter();
        var code = Cli.Run(["info"], new CliHost(new BrokenWriter(), error));
        Assert.Equal(1, code);
        Assert.Single(error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("PTP_DEBUG=1", error.ToString(), StringComparison.Ordinal);
    }

    private sealed class BrokenWriter : StringWriter
    {
        public override void Write(string? value) => throw new InvalidOperationException("broken");

        public override void Write(char[] buffer, int index, int count) => throw new InvalidOperationException("broken");

        public override void Write(ReadOnlySpan<char> buffer) => throw new InvalidOperationException("broken");
    }
}
