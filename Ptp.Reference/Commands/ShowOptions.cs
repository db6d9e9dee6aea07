// --show, --show-u and --html: a text drawn round by round, on the terminal, in the JSON result, as a page.
// Rounds are kept while decoding, which costs a list entry each; laws are read afterwards by one more pass (PickReplay), so that
// times stay those of decoding. Refuses: a page that cannot be written, before decoding rather than after.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Options of showing.</summary>
internal sealed class ShowOptions
{
    private readonly Option<bool> _show = Values.Switch(
        "--show", "Draw each round before the text: accepted draft tokens, rejected ones struck through, the model's corrections and "
        + "bonus tokens. Changes no token. With --json: rounds_detail, with u and cells.");

    private readonly Option<bool> _u = Values.Switch(
        "--show-u", "The same, and for each token its u and the cell [F(t-1), F(t)) that holds it; only the token's probability where "
        + "a pick rule takes many numbers.");

    private readonly Option<string?> _html = Values.Text(
        "--html", "Draw the rounds, with u and cells, into one HTML file that needs nothing else.", "FILE");

    /// <summary>Adds all options to a verb.</summary>
    public void AddTo(Command verb)
    {
        verb.Add(_show);
        verb.Add(_u);
        verb.Add(_html);
    }

    /// <summary>What one run is to show; null for nothing.</summary>
    public Showing? Read(Call call)
    {
        var (withU, html) = (call.Get(_u), call.Get(_html));
        if (html is not null)
        {
            AtomicFile.Check(html);
        }

        var show = withU || call.Get(_show);
        return show || html is not null ? new Showing(call.Out, show, withU, html) : null;
    }
}

/// <summary>Keeps the rounds of one text and draws them.</summary>
/// <param name="output">Where to draw.</param>
/// <param name="rounds">True to draw rounds on the terminal and in the JSON result.</param>
/// <param name="withU">True to say why each token was picked.</param>
/// <param name="html">The page to write, or null.</param>
internal sealed class Showing(Output output, bool rounds, bool withU, string? html)
{
    private readonly List<ShownRound> _rounds = [];
    private RoundsText? _text;
    private int _tokens;

    /// <summary>True if rounds take the place of the stream of text.</summary>
    public bool InsteadOfStream => rounds;

    /// <summary>Prepares for a text.</summary>
    /// <param name="names">Names of its tokens.</param>
    public void Start(TokenNames names)
    {
        if (rounds)
        {
            _text = new RoundsText(output, names);
            _text.Legend();
        }
    }

    /// <summary>Takes a round, and draws it at once where no law is needed.</summary>
    public void Take(Commitment round)
    {
        var shown = ShownRound.Of(round, _tokens);
        _tokens += shown.Tokens.Length;
        _rounds.Add(shown);
        if (!withU)
        {
            _text?.Draw(shown, []);
        }
    }

    /// <summary>Draws what needs laws, once the text is complete.</summary>
    /// <param name="decoding">How it was decoded.</param>
    /// <param name="decoder">The decoder's name.</param>
    /// <param name="prompt">Its prompt.</param>
    /// <param name="ids">The prompt's ids.</param>
    /// <param name="text">The text without the prompt.</param>
    /// <param name="stats">Its totals.</param>
    /// <param name="result">The JSON result, which gains the rounds.</param>
    public void End(Decoding decoding, string decoder, string prompt, int[] ids, string text, DecodeStats stats, JsonObject result)
    {
        if (!withU && html is null && !output.Json)
        {
            return;
        }

        using var bar = new Progress(output.Host, "laws of the tokens");
        var facts = PickReplay.Explain(decoding, ids, _rounds, bar);
        bar.Dispose();
        var names = new TokenNames(decoding.Model.Tokenizer, decoding.Model.EndTokens);
        if (rounds)
        {
            result["rounds_detail"] = RoundsJson.Of(_rounds, facts, names);
        }

        if (withU)
        {
            _rounds.ForEach(round => _text?.Draw(round, facts.AsSpan(round.Start, round.Tokens.Length)));
        }

        if (html is not null)
        {
            var stream = decoding.Model.Tokenizer.CreateStreamingDecoder(prompt.Length == 0);
            var head = new PageHead(prompt, text, Facts(decoding, decoder), stats);
            AtomicFile.WriteText(html, RoundsPage.Draw(head, _rounds, facts, names, stream));
            result["html"] = html;
            output.Note($"page: {html}");
        }
    }

    private static List<(string Name, string Value)> Facts(Decoding decoding, string decoder) =>
    [
        ("seed", Invariant($"{decoding.Seed}")),
        ("decoder", decoder),
        ("model", Last(decoding.Model.Folder)),
        ("adapter", decoder != "ar" && decoding.AdapterFolder is { } adapter ? Last(adapter) : "none"),
        ("law", Invariant($"temperature {decoding.Law.Temperature}, top-k {decoding.Law.TopK}, top-p {decoding.Law.TopP}")),
        ("pick rule", decoding.Rule.Name),
    ];

    /// <summary>The last two names of a path: a page is for others, whom the folders of this machine tell nothing.</summary>
    private static string Last(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        return Path.Join(Path.GetFileName(Path.GetDirectoryName(full)), Path.GetFileName(full));
    }
}
