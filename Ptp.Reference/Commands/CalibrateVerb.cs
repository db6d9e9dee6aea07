// ptp calibrate: how often an adapter's draft tokens are right, by the confidence it states, on texts that its base writes anew from known u;
// two thirds of them are fitted (isotonic or logistic, what predicts better), the last third says what that is worth; the map goes into the adapter.
// Refuses: adapters of another base, texts of which no draft token was checked.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Calibrates an adapter's confidences.</summary>
internal sealed class CalibrateVerb : Verb
{
    private const int Batch = 32;
    private readonly Option<string?> _model = Values.Text("--model", "Base model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _adapter = Values.Text("--adapter", "The adapter. Default: models/ptp.", "FOLDER");
    private readonly Option<string[]> _data = Values.Texts(
        "--data", "Corpus folder (its heldout/*.txt) or text file whose beginnings are continued. Default: texts begin from nothing.", "FOLDER|FILE");

    private readonly Option<int> _promptTokens = Values.Whole("--prompt-tokens", "Tokens of each prompt from --data.", 32, 1);
    private readonly Option<int> _texts = Values.Whole("--texts", "Texts to write and to draft on.", 192, 3);
    private readonly Option<int> _maxNew = Values.Whole("--max-new", "Most tokens of a text.", 96, 2);
    private readonly Option<int> _every = Values.Whole("--every", "A draft begins at every so many tokens of a text.", 7, 1);
    private readonly Option<ulong> _seed = Values.Seed("Seed of the texts; none of those the adapter was trained on should have it.", 20_260);
    private readonly Option<bool> _look = Values.Switch("--look", "Only measure; leave the adapter as it is.");

    public CalibrateVerb()
        : base(
            "calibrate",
            "Measure how often draft tokens are right by the confidence stated of them, and store that with the adapter: branches, draft trees "
            + "and lengths of drafts then reckon with chances instead of claims. Texts stay the same, bit for bit.",
            "ptp calibrate --look                                # what the default adapter's confidences are worth",
            "ptp calibrate --model runs/base --adapter runs/ptp --data runs/corpus")
    {
        _data.AllowMultipleArgumentsPerToken = true;
        foreach (var option in (Option[])[_model, _tokenizer, _adapter, _data, _promptTokens, _texts, _maxNew, _every, _seed, _look])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var folder = call.Get(_adapter) ?? (call.Get(_model) is null ? ModelChoice.Default(ModelChoice.Ptp) : null) ?? throw new PtpException(
            "Calibrate an adapter", "no --adapter, and no folder models/ptp", "an adapter of this model", "Name one with --adapter FOLDER.");
        var ptp = PtpAdapter.Load(folder, model.Model, model.Fingerprint);
        var texts = Texts(call, model, ptp);
        if (call.Cancellation.IsCancellationRequested)
        {
            return ErrorOutput.Stopped;
        }

        var fitted = texts.Length * 2 / 3;
        HeldOutDrafts.Calibrate(ptp, model.Model, texts[..fitted], call.Get(_every));
        var report = new JsonObject { ["adapter"] = folder, ["texts"] = texts.Length, ["stored"] = !call.Get(_look) };
        report["chains"] = Worth(call, "chains", HeldOutDrafts.Chains(ptp, model.Model, texts[fitted..], call.Get(_every)), ptp.Confidence);
        report["trees"] = Worth(call, "trees", HeldOutDrafts.Trees(ptp, model.Model, texts[fitted..], call.Get(_every)), ptp.TreeConfidence);
        if (!call.Get(_look))
        {
            AdapterFolder.WriteManifest(folder, AdapterFolder.ReadManifest(folder) with
            {
                Confidence = ptp.Confidence,
                TreeConfidence = ptp.TreeConfidence,
            });
        }

        call.Out.Result(report);
        return ErrorOutput.Done;
    }

    private static JsonObject? Worth(Call call, string what, IReadOnlyList<CheckedToken> tokens, ConfidenceCalibration? map)
    {
        if (tokens.Count == 0 || map is null)
        {
            return null;
        }

        var (error, better) = (ConfidenceCalibration.Error(tokens), ConfidenceCalibration.Error(tokens, map));
        var (loss, less) = (ConfidenceCalibration.Loss(tokens), ConfidenceCalibration.Loss(tokens, map));
        call.Out.Line(Invariant(
            $"{what}: {tokens.Count} tokens, {tokens.Average(t => t.Right ? 1.0 : 0):0.000} right; calibration error {error:0.000} to {better:0.000}, loss {loss:0.0000} to {less:0.0000} nats"));
        return new JsonObject
        {
            ["tokens"] = tokens.Count,
            ["error_as_stated"] = Output.Number(error),
            ["error"] = Output.Number(better),
            ["loss_as_stated"] = Output.Number(loss),
            ["loss"] = Output.Number(less),
        };
    }

    private Completion[] Texts(Call call, ModelChoice model, SlotModel ptp)
    {
        var count = call.Get(_texts);
        int[][] prompts = call.Get(_data) is { Length: > 0 } paths ? Prompts(call, model, paths) : [model.Encode("")];
        SamplingJob[] jobs = [.. Enumerable.Range(0, count).Select(i => new SamplingJob(
            prompts[i % prompts.Length], Auxiliaries.FromSeed(call.Get(_seed) + (ulong)i, ptp.NumbersPerToken), call.Get(_maxNew)))];
        var sampling = new BatchedSampling(model.Model, ptp.Law, ptp.Rule, Batch);
        var texts = new List<Completion>();
        using var bar = new Progress(call.Out.Host, "texts");
        foreach (var batch in jobs.Chunk(Batch))
        {
            if (call.Cancellation.IsCancellationRequested)
            {
                break;
            }

            texts.AddRange(sampling.Run(batch).Zip(batch, (tokens, job) => new Completion(tokens, job.Prompt.Length, job.U)));
            bar.Report(texts.Count, count, Invariant($"{texts.Count} texts"));
        }

        return [.. texts];
    }

    private int[][] Prompts(Call call, ModelChoice model, string[] paths)
    {
        var length = call.Get(_promptTokens);
        int[][] prompts = [.. TrainingInput.Tokens(call, HeldOutText.Read(paths), model.Tokenizer, new Dictionary<string, double>())
            .SelectMany(c => c.Documents).Where(d => d.Length > length)
            .Select(d => (int[])(model.BeginToken is { } begin ? [begin, .. d[..length]] : d[..length]))];
        Guard.Require(prompts.Length > 0, "Calibrate an adapter", $"no document with {length} tokens", "longer texts", "Lower --prompt-tokens.");
        return prompts;
    }
}
