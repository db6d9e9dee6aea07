// What must hold of rounds_detail, whoever wrote it: rounds follow each other and add up to the statistics, kinds of tokens fit the
// counts, accepted drafts equal what was committed and rejected ones differ, every u lies in its cell and in no rejected one.
// Not here: whether u picks these tokens; that takes the model (PickReplay).

using System.Text.Json.Nodes;

namespace Ptp.Tests.Commands;

internal static class RoundsCheck
{
    /// <summary>The first thing that is wrong with a result, or null.</summary>
    public static string? Finding(JsonNode result)
    {
        var tokens = new List<int>();
        var rounds = result["rounds_detail"]!.AsArray();
        foreach (var (index, round) in rounds.Index())
        {
            if ((int)round!["start"]! != tokens.Count)
            {
                return $"round {index} starts at {round["start"]}, after {tokens.Count} tokens";
            }

            var (draft, committed) = (Objects(round, "draft"), Objects(round, "committed"));
            var next = index + 1 < rounds.Count ? Objects(rounds[index + 1]!, "draft").Count : 0;
            if ((Wrong(draft, committed, (int)round["verified"]!, (int)round["correct"]!)
                ?? WrongAhead([.. round["branches"]!.AsArray().Select(slots => (int)slots!)], (int)round["verified"]!, (int)round["correct"]!, next)
                ?? WrongTree(Objects(round, "tree"), draft, committed)) is { } wrong)
            {
                return $"round {index}: {wrong}";
            }

            tokens.AddRange(committed.Select(Id));
        }

        var stats = result["stats"]!;
        return tokens.Count != (int)stats["tokens"]! ? $"{tokens.Count} tokens"
            : rounds.Count != (int)stats["rounds"]! ? $"{rounds.Count} rounds"
            : !tokens.Take(result["token_ids"]!.AsArray().Count).SequenceEqual(result["token_ids"]!.AsArray().Select(t => (int)t!))
                ? "other tokens"
            : null;
    }

    /// <summary>A branch for each number of right tokens, and the next draft out of the one that came true.</summary>
    private static string? WrongAhead(int[] branches, int verified, int correct, int next) =>
        branches.Length > 0 && (branches.Length != verified + 1 || branches[correct] < next)
            ? $"branches of {string.Join(' ', branches)} slots for {verified} tokens, {correct} right, then a draft of {next}"
            : null;

    /// <summary>The accepted nodes are the path; beside it stand other tokens than the committed ones, below those the discarded.</summary>
    private static string? WrongTree(List<JsonObject> nodes, List<JsonObject> path, List<JsonObject> committed)
    {
        var depths = new List<int>();
        foreach (var (index, node) in nodes.Index())
        {
            var (parent, fate) = ((int)node["parent"]!, (string)node["fate"]!);
            depths.Add(parent < 0 ? 0 : depths[parent] + 1);
            var followed = parent < 0 || (string)nodes[parent]["fate"]! == "accepted";
            var right = depths[index] < committed.Count && Id(committed[depths[index]]) == Id(node);
            if (fate != (!followed ? "discarded" : right && depths[index] < path.Count ? "accepted" : "rejected"))
            {
                return $"node {index} is {fate}";
            }
        }

        return nodes.Count > 0 && !nodes.Where(n => (string)n["fate"]! == "accepted").Select(Id).SequenceEqual(path.Select(Id))
            ? "the accepted nodes are not the path"
            : null;
    }

    private static string? Wrong(List<JsonObject> draft, List<JsonObject> committed, int verified, int correct)
    {
        if (committed.Count is 0 || correct > committed.Count || correct > verified || verified > draft.Count
            || committed.Count > correct + 1)
        {
            return $"{draft.Count} drafted, {verified} verified, {correct} correct, {committed.Count} committed";
        }

        for (var i = 0; i < committed.Count; i++)
        {
            var (token, was) = (committed[i], i < draft.Count ? draft[i] : null);
            var (origin, fate) = ((string)token["origin"]!, (string?)was?["fate"]);
            var expected = draft.Count == 0 ? "plain" : i >= verified ? "bonus" : fate == "rejected" ? "corrected" : "accepted";
            if (origin != expected || (expected == "corrected" && i != correct && i != 0))
            {
                return $"place {i} is {origin} behind {fate}";
            }

            if (was is not null && i < verified && (Id(was) == Id(token)) != (fate == "accepted"))
            {
                return $"place {i}: the draft's {Id(was)} is {fate}, {Id(token)} was committed";
            }

            if (token["rejected"] is null == (fate == "rejected"))
            {
                return $"place {i} forgets what was rejected";
            }

            if (BadCell(token) is { } bad)
            {
                return $"place {i}: {bad}";
            }
        }

        var tail = draft.Skip(committed.Count).Index()
            .FirstOrDefault(d => (string)d.Item["fate"]! != (d.Index + committed.Count < verified ? "discarded" : "unchecked"));
        return tail.Item is null ? null : $"a draft token behind the round is {tail.Item["fate"]}";
    }

    private static string? BadCell(JsonObject token)
    {
        if (token["left"] is null)
        {
            return (double)token["probability"]! > 0 ? null : "an impossible token";
        }

        bool Holds(JsonNode cell) => (double)token["u"]! >= (double)cell["left"]! && (double)token["u"]! < (double)cell["right"]!;
        // The last token's cell also owns what rounding leaves up to one.
        return !Holds(token) ? "u lies outside its cell"
            : token["rejected"] is { } rejected && Holds(rejected) ? "u lies in the rejected cell"
            : Math.Abs((double)token["right"]! - (double)token["left"]! - (double)token["probability"]!) > 1e-5 ? "a cell of another width"
            : null;
    }

    private static int Id(JsonNode token) => (int)token["id"]!;

    private static List<JsonObject> Objects(JsonNode round, string name) => [.. round[name]!.AsArray().Select(t => t!.AsObject())];
}
