// ptp generate: continue a prompt, streamed as it is decoded, token by token, by drafts with error correction, or by branches.
// For the same seed and law all decoders write the same text; only the number of calls differs.
// Refuses: an empty prompt on a model without a begin token, PTP without an adapter, laws that are none.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Generates text.</summary>
internal sealed class GenerateVerb : Verb
{
    private readonly DecodingOptions _decoding = new(maxNew: 256, paying: true);
    private readonly Option<string?> _prompt = Values.Text(
        "--prompt", "Text to continue; '-' reads standard input; empty starts from the begin-of-text token.", "TEXT|-", "");

    private readonly Option<string?> _decoder = Values.Word(
        "--decoder", "ar = one token per call; ptp = draft, verify, correct; pqd = verify and draft in the same call, a branch for "
        + "each number of right tokens; tree = as ptp, with alternatives where u is close to a border. Default: ptp if there is an "
        + "adapter.", ["ar", "ptp", "pqd", "tree"]);

    private readonly Option<int> _budget = Values.Whole(
        "--budget", "For pqd: slots of a call, all branches together; 0 = as many as pay, by the measured cost of calls. For tree: tokens "
        + "of a draft, 0 = 16.", 0, 0, 4096);

    private readonly Option<string[]> _stop = Values.Texts(
        "--stop", "End the text where this string appears; it is not printed.", "STRING");
    private readonly ShowOptions _show = new();
    private readonly Option<bool> _noStream = Values.Switch(
        "--no-stream", "Print the text when it is complete, not while it grows.");
    private readonly Option<bool> _noBegin = Values.Switch(
        "--no-begin", "Do not put the begin-of-text token before the prompt.");

    public GenerateVerb()
        : base(
            "generate",
            "Continue a prompt. The text is a function of model, prompt, law and seed: the decoder and its slots change only "
            + "how fast it appears. On a terminal, tokens that a draft had right are green.",
            "ptp generate --prompt \"Once upon a time\"",
            "ptp generate --prompt \"Once upon a time\" --decoder ar     # the same text, one call per token",
            "ptp generate --prompt \"Once upon a time\" --decoder pqd --budget 12",
            "ptp generate --prompt \"Once upon a time\" --slots 0 --show    # what each round drafted, kept and rejected",
            "ptp generate --prompt \"Once upon a time\" --slots 0 --show-u --html rounds.html",
            "ptp generate --prompt - --max-new 64 --stop . < prompt.txt",
            "ptp generate --model stories260K-hf --tokenizer tok512.bin --temperature 0 --json",
            "ptp generate --temperature 1 --allow-other-law            # exact under any law, fastest under the adapter's")
    {
        Add(_prompt);
        Add(_decoder);
        _decoding.AddTo(this);
        foreach (var option in (Option[])[_budget, _stop, _noStream, _noBegin])
        {
            Add(option);
        }

        _show.AddTo(this);
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var stops = call.Get(_stop) ?? [];
        Guard.Require(stops.All(s => s.Length > 0), "Read --stop", "an empty string", "a text to stop at",
            "Leave --stop out to go on until the end token.");
        var showing = _show.Read(call);
        using var backend = call.Backend();
        var decoding = _decoding.Load(call, backend);
        var prompt = call.Get(_prompt) ?? "";
        prompt = prompt == "-" ? call.Out.Host.In.ReadToEnd() : prompt;
        var name = call.Get(_decoder) ?? (decoding.Drafts ? "ptp" : "ar");
        Guard.Require(name is "pqd" or "tree" || call.Get(_budget) == 0, "Read --budget", $"a budget for --decoder {name}",
            "--decoder pqd or tree", "Add --decoder pqd, or leave --budget out.");
        PayingLength? length = null;
        var decoder = name switch
        {
            "ar" => decoding.Autoregressive(),
            "pqd" => decoding.PartialQuadratic(call.Get(_budget)),
            "tree" => decoding.Tree(call.Get(_budget) is > 0 and var nodes ? nodes : 16),
            _ => decoding.ErrorCorrected(null, out length),
        };
        var ids = decoding.Model.Encode(prompt, addBegin: !call.Get(_noBegin));

        call.Out.Note($"{backend.Name}; {decoding.Model.Folder}; decoder {name}");
        var streams = !call.Get(_noStream) && showing?.InsteadOfStream != true;
        showing?.Start(new TokenNames(decoding.Model.Tokenizer, decoding.Model.EndTokens));
        if (streams && call.Out.Colour)
        {
            call.Out.WriteDim(prompt);
        }

        var text = new TextStream(
            decoding.Model.Tokenizer, stops, prompt.Length == 0, streams ? call.Out.WriteToken : null);
        bool Take(Commitment round)
        {
            showing?.Take(round);
            return text.Take(round);
        }

        var decoded = decoder.Decode(ids, decoding.U(), decoding.Limits, showing is null ? text.Take : Take, call.Cancellation);
        text.End();
        var result = new JsonObject
        {
            ["text"] = text.Text,
            ["token_ids"] = new JsonArray([.. text.Tokens.Select(t => (JsonNode)t)]),
            ["prompt"] = prompt,
            ["prompt_tokens"] = ids.Length,
            ["decoder"] = name,
            ["stop"] = StatsOutput.Stop(decoded.Stop, text.Stopped),
            ["stats"] = StatsOutput.Json(decoded.Stats),
        };
        if (streams)
        {
            call.Out.Line();
        }

        showing?.End(decoding, name, prompt, ids, text.Text, decoded.Stats, result);
        if (!streams)
        {
            call.Out.Write(showing?.InsteadOfStream == true ? "\n" : "");
            call.Out.WriteDim(call.Out.Colour ? prompt : "");
            call.Out.Line(text.Text);
        }

        call.Out.Note(StatsOutput.Line(decoded.Stats));
        if (length is not null)
        {
            var measured = length.PlainMilliseconds(ids.Length + (int)decoded.Stats.Tokens / 2) / decoded.Stats.MillisecondsPerToken;
            call.Out.Note(Invariant($"speed against one token per call: predicted {length.PredictedSpeedup:0.00}, measured {measured:0.00}"));
        }

        result["predicted_speedup"] = length is null ? null : Output.Number(length.PredictedSpeedup);
        call.Out.Result(decoding.Describe(result, backend));
        return call.Cancellation.IsCancellationRequested ? ErrorOutput.Stopped : ErrorOutput.Done;
    }
}
