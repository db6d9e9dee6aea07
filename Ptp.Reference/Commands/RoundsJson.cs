// Rounds in a JSON result: per round the draft with the fate of each token, the committed tokens with u and cell under the verifying law.
// correct is DecodeStats' count, which takes the exact first token that drafting reveals for the draft's own; fates tell them apart.
// Refuses: nothing; what a pick rule does not have (one u, a cell) is null.

using System.Text.Json.Nodes;

namespace Ptp.Reference.Commands;

/// <summary>Writes rounds for scripts.</summary>
internal static class RoundsJson
{
    /// <summary>Rounds with their facts, for scripts.</summary>
    /// <param name="rounds">All rounds.</param>
    /// <param name="facts">Why each token was picked, in order.</param>
    /// <param name="names">Names of tokens.</param>
    public static JsonArray Of(IReadOnlyList<ShownRound> rounds, PickFacts[] facts, TokenNames names) => new(
        [.. rounds.Select(round => new JsonObject
        {
            ["start"] = round.Start,
            ["verified"] = round.Verified,
            ["correct"] = round.Correct,
            ["draft"] = new JsonArray([.. round.Draft.Select((id, j) => (JsonNode)new JsonObject
            {
                ["id"] = id,
                ["text"] = names.Of(id),
                ["fate"] = Word(round.FateOf(j)),
            })]),
            ["branches"] = new JsonArray([.. round.Branches.Select(slots => (JsonNode)slots)]),
            ["tree"] = new JsonArray([.. round.Nodes.Select(node => (JsonNode)new JsonObject
            {
                ["id"] = node.Token,
                ["text"] = names.Of(node.Token),
                ["parent"] = node.Parent,
                ["fate"] = Word(node.Fate),
            })]),
            ["committed"] = new JsonArray(
                [.. round.Tokens.Select((id, i) => Committed(id, names, round.OriginOf(i), facts[round.Start + i]))]),
        })]);

    /// <summary>An origin or fate as people and scripts read it.</summary>
    public static string Word<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();

    private static JsonNode Committed(int id, TokenNames names, Origin origin, PickFacts facts)
    {
        var json = new JsonObject
        {
            ["id"] = id,
            ["text"] = names.Of(id),
            ["origin"] = Word(origin),
            ["u"] = facts.U is { } u ? Output.Number(u) : null,
        };
        Add(json, facts.Picked);
        json["rejected"] = facts.Rejected is { } rejected ? Add([], rejected) : null;
        return json;
    }

    private static JsonObject Add(JsonObject json, Share share)
    {
        json["probability"] = Output.Number(share.Probability);
        json["left"] = share.Cell is { } cell ? Output.Number(cell.Left) : null;
        json["right"] = share.Cell is { } same ? Output.Number(same.Right) : null;
        return json;
    }
}
