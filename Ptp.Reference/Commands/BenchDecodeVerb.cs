// ptp bench decode: tokens per second of a prompt (pp) and of plain decoding (tg), as llama-bench prints them.
// Prompt and text are random tokens: the time depends on sizes only, and no end token cuts the text short.
// Refuses: prompts and texts longer than the model's context.

using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Measures a prompt and plain decoding.</summary>
internal sealed class BenchDecodeVerb : Verb
{
    private readonly Option<string?> _model = Values.Text("--model", "Model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<int?> _prompt = Values.WholeOrNone("--prompt-tokens", "Tokens of the prompt. Default: 512, or what fits.", 2);
    private readonly Option<int?> _text = Values.WholeOrNone("--tokens", "Tokens to decode. Default: 128, or what fits.", 1);
    private readonly Option<int> _rounds = Values.Whole("--rounds", "Timed rounds; mean and deviation are printed.", 5, 1, 1000);

    private readonly Option<string?> _weights = WeightsOption.New();

    public BenchDecodeVerb()
        : base(
            "decode",
            "Measure tokens per second of reading a prompt and of decoding one token per call. Compare with llama-bench on the same weights "
            + "(ptp export --gguf), in turn on a quiet machine.",
            "ptp bench decode",
            "ptp bench decode --model runs/base --tokens 64 --weights int8 --json")
    {
        foreach (var option in (Option[])[_model, _tokenizer, _prompt, _text, _rounds, _weights])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend, call.Get(_weights)!);
        var config = model.Model.Config;
        var prompt = call.Get(_prompt) ?? Math.Min(512, config.MaxContext - 1);
        var text = call.Get(_text) ?? Math.Min(128, config.MaxContext - 1);
        Guard.Require(Math.Max(prompt, text) < config.MaxContext, "Measure decoding", $"{Math.Max(prompt, text)} tokens",
            $"fewer than the context of {config.MaxContext}", "Lower --prompt-tokens or --tokens.");
        call.Out.Note($"{backend.Name}; {model.Folder}; {Invariant($"{config.Parameters / 1e6:0.0}")} M parameters");

        var random = new RandomStream(1, "bench");
        int[] ids = [.. Enumerable.Range(0, prompt).Select(_ => random.NextInt(config.VocabularySize))];
        var session = new ModelSession(model.Model, SamplingOptions.Greedy, InverseCdf.Instance);
        double Prompt()
        {
            var start = Stopwatch.GetTimestamp();
            session.Start(ids);
            session.Verify([ids[^1]]);
            _ = session.Logits(0); // waits for a device
            return prompt / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        var plain = new Autoregressive(model.Model, SamplingOptions.Greedy, InverseCdf.Instance);
        double Text()
        {
            var start = Stopwatch.GetTimestamp();
            plain.Decode(ids.AsSpan(0, 1).ToArray(), Auxiliaries.FromSeed(1), new DecodeLimits(text, []));
            return text / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        var results = new JsonArray();
        foreach (var (name, body) in ((string, Func<double>)[])[($"pp{prompt}", Prompt), ($"tg{text}", Text)])
        {
            for (var i = 0; i < 3; i++)
            {
                body(); // compiled in tiers, pages touched
            }

            double[] rates = [.. Enumerable.Range(0, call.Get(_rounds)).Select(_ => body())];
            var mean = rates.Average();
            var deviation = Math.Sqrt(rates.Average(r => (r - mean) * (r - mean)));
            call.Out.Line(Invariant($"{name,8}  {mean:0.00} +- {deviation:0.00} tokens/s"));
            results.Add(new JsonObject
            {
                ["test"] = name,
                ["tokens_per_second"] = Output.Number(mean),
                ["deviation"] = Output.Number(deviation),
            });
        }

        call.Out.Result(new JsonObject
        {
            ["model"] = model.Folder,
            ["device"] = backend.Name,
            ["weights"] = model.Weights,
            ["parameters"] = config.Parameters,
            ["results"] = results,
        });
        return ErrorOutput.Done;
    }
}
