// Measures of texts, by hand and by calibration: p_align of texts that were drawn from their laws is uniform, that of likelier or
// rarer ones is tiny; also through the real decoder, where exact rules pass and relaxed ones are caught.
// Not here: laws of trained models.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Verification;

public sealed class FaithfulnessTests
{
    [Fact]
    public void Means_over_answers_are_taken_of_each_answer()
    {
        // Geometric means 1/2 and 1/4 (of 1/2 and 1/8): not the pooled mean of three tokens.
        double[][] answers = [[Math.Log(0.5)], [Math.Log(0.5), Math.Log(0.125)]];
        Assert.Equal(37.5, Faithfulness.MeanProbability(answers), 1e-12);
        Assert.Equal(3, Faithfulness.Perplexity(answers), 1e-12);
        Assert.Equal(0, Faithfulness.MeanProbability([[double.NegativeInfinity]]));
        Assert.NotEmpty(Assert.Throws<PtpException>(() => Faithfulness.Perplexity([])).WayOut);
        Assert.Throws<PtpException>(() => Faithfulness.MeanProbability([[-1], []]));
    }

    [Fact]
    public void Surprise_is_the_law_of_ln_p()
    {
        // p = (1/2, 1/4, 1/4): E ln p = -1.5 ln 2; Var ln p = ln^2 2 (1/2 * 1/4 + 1/2 * 1/4) = ln^2 2 / 4.
        var ln2 = Math.Log(2);
        var surprise = Faithfulness.Surprise(1, [0.5f, 0.25f, 0.25f, 0]);
        Assert.Equal(-2 * ln2, surprise.LogProbability, 1e-12);
        Assert.Equal(-1.5 * ln2, surprise.Mean, 1e-12);
        Assert.Equal(ln2 * ln2 / 4, surprise.Variance, 1e-12);

        // Twice that token: excess -ln 2, deviation ln 2 / sqrt 2, so z = -sqrt 2.
        var alignment = Faithfulness.Align([surprise, surprise, new(-21, -1, 3), new(double.NegativeInfinity, -1, 3)]);
        Assert.Equal(-Math.Sqrt(2), alignment.Z, 1e-12);
        Assert.Equal(0.157299207050285, alignment.PValue, 1e-12);
        Assert.Equal((2, 2), (alignment.Tokens, alignment.Skipped));
        Assert.Equal(new Alignment(0, 1, 1, 0), Faithfulness.Align([Faithfulness.Surprise(0, [1f, 0])]));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0.317310507862914)]
    [InlineData(-1.959963984540054, 0.05)]
    [InlineData(2.828427124746190, 0.00467773498104727)]
    [InlineData(2.8284271247461907, 0.00467773498104727)]
    [InlineData(3.290526731491925, 0.001)]
    [InlineData(6, 1.97317529007540e-9)]
    [InlineData(40, 0)]
    public void The_normal_tail_is_the_tabulated_one(double z, double p) =>
        Assert.Equal(p, Faithfulness.TwoSided(z), Math.Max(1e-300, 1e-10 * Math.Max(p, 1e-9)));

    // 600 sets of 400 tokens from random laws. Uniform: no decile is off by more than six deviations; at most 5 below .001 (0.6 expected).
    [Fact]
    public void Drawn_texts_are_uniform_and_others_are_caught()
    {
        const int Sets = 600;
        var deciles = new int[10];
        var (tiny, likeliest, tempered) = (0, 0, 0);
        Cases.RunSeeds(Sets, seed =>
        {
            var random = new RandomStream((ulong)seed, "texts");
            var drawn = new List<TokenSurprise>();
            var (greedy, cold) = (new List<TokenSurprise>(), new List<TokenSurprise>());
            var colder = new LogitsTransform(new SamplingOptions { Temperature = 0.8 }, 30);
            var (warm, law, cooled) = (new LogitsTransform(new SamplingOptions { TopP = 0.9 }, 30), new float[30], new float[30]);
            for (var i = 0; i < 400; i++)
            {
                warm.ToLaw([.. Enumerable.Range(0, 30).Select(_ => (float)(2 * random.NextGaussian()))], law);
                colder.ToLaw([.. law.Select(p => MathF.Log(p))], cooled);
                drawn.Add(Faithfulness.Surprise(Pick.Token(random.NextDouble(), law), law));
                cold.Add(Faithfulness.Surprise(Pick.Token(random.NextDouble(), cooled), law));
                greedy.Add(Faithfulness.Surprise(Array.IndexOf(law, law.Max()), law));
            }

            var p = Faithfulness.Align(drawn).PValue;
            deciles[(int)Math.Min(9, 10 * p)]++;
            tiny += p < 0.001 ? 1 : 0;
            likeliest += Faithfulness.Align(greedy) is { PValue: < 1e-9, Z: > 0 } ? 1 : 0;
            tempered += Faithfulness.Align(cold) is { PValue: < 0.001, Z: > 0 } ? 1 : 0;
        });
        Assert.InRange(tiny, 0, 5);
        Assert.All(deciles, count => Assert.InRange(count, 60 - 6 * 7.4, 60 + 6 * 7.4));
        Assert.Equal(Sets, likeliest);
        Assert.InRange(tempered, Sets / 2, Sets);
    }

    // Random laws of every shape, down to impossible tokens and float dust: nothing but numbers comes out.
    [Fact]
    public void Surprise_of_any_law_is_finite() => Cases.RunSeeds(300, seed =>
    {
        var law = Laws.Generate(seed);
        var surprise = Faithfulness.Surprise(Pick.Token(0.5, law), law);
        Assert.True(double.IsFinite(surprise.LogProbability) && double.IsFinite(surprise.Mean) && surprise.Variance >= 0);
    });

    // 1,500 texts of three tokens through the decoder, all pooled: exact rules pass, the others do not.
    [Theory]
    [InlineData("exact", true)]
    [InlineData("ratio", true)]
    [InlineData("nucleus:0.3", false)]
    [InlineData("argmax", false)]
    [InlineData("first:1", false)]
    public void Exact_rules_pass_and_relaxed_ones_are_caught(string rule, bool passes)
    {
        using var backend = new CpuBackend(1);
        var language = new TinyLanguage(backend, 3);
        var drafter = new TinyLanguage.Drafter(language, TinyLanguage.Habit.Likeliest);
        var decoder = new DraftAndVerify(
            language.Model, drafter, VerificationRule.Parse(rule), TinyLanguage.Law, InverseCdf.Instance, seed: 9);
        var tokens = Enumerable.Range(0, 1500).SelectMany(i =>
        {
            var text = decoder.Decode(TinyLanguage.Prompt, Auxiliaries.FromSeed((ulong)i), TinyLanguage.Limits).Tokens;
            return text.Select((token, place) => Faithfulness.Surprise(token, language.NextLaw(text[..place])));
        });
        var p = Faithfulness.Align(tokens).PValue;
        Assert.True(passes ? p > 1e-4 : p < 1e-4, $"p = {p}");
    }

    [Fact]
    public void Texts_that_repeat_themselves_zip_well()
    {
        var random = new RandomStream(1, "letters");
        var free = string.Concat(Enumerable.Range(0, 2000).Select(_ => (char)('a' + random.NextInt(26))));
        var repeated = string.Concat(Enumerable.Repeat("the same words again ", 100));
        Assert.InRange(Faithfulness.GzipRatio(free), 1, 2);
        Assert.InRange(Faithfulness.GzipRatio(repeated), 20, 100);
        Assert.Throws<PtpException>(() => Faithfulness.GzipRatio(""));
    }
}
