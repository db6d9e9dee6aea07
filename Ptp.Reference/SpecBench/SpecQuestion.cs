// Questions of Spec-Bench (Xia et al. 2024): a JSON object per line with question_id, category and turns; six tasks by category.
// Without a file, twelve questions of our own, two per task: enough to see the runner at work, not to compare with anybody.
// Refuses: lines that are no such object, an id twice, empty turns; a file of no questions.

using System.Text.Json;
using Ptp.Core;

namespace Ptp.Reference.SpecBench;

/// <summary>A question.</summary>
/// <param name="Id">question_id.</param>
/// <param name="Category">As the file has it.</param>
/// <param name="Turns">What the user says, in order.</param>
internal sealed record SpecQuestion(int Id, string Category, IReadOnlyList<string> Turns)
{
    private const int LongestFile = 64 << 20;

    /// <summary>The column of published tables that the question belongs to.</summary>
    public string Task => TaskOf(Category);

    /// <summary>The column of published tables that a category belongs to.</summary>
    public static string TaskOf(string category) => category switch
    {
        "translation" => "translation",
        "summarization" => "summarization",
        "qa" => "qa",
        "math_reasoning" => "math",
        "rag" => "rag",
        _ => "multi-turn",
    };

    /// <summary>Tasks in the order of published tables.</summary>
    public static IReadOnlyList<string> Tasks { get; } = ["multi-turn", "translation", "summarization", "qa", "math", "rag"];

    /// <summary>Twelve of our own.</summary>
    public static IReadOnlyList<SpecQuestion> BuiltIn { get; } =
    [
        new(1, "writing", ["Tell me a story about a small boat.", "Tell it again, with a happy end."]),
        new(2, "roleplay", ["You are a cat. What did you do today?", "And what will you do tomorrow?"]),
        new(3, "translation", ["Translate to English: Der Hund schläft unter dem Tisch."]),
        new(4, "translation", ["Translate to English: Es war einmal ein kleines Mädchen."]),
        new(5, "summarization", ["Summarize: Tom had a red ball. He lost it in the park. A dog found the ball and gave it back to Tom."]),
        new(6, "summarization", ["Summarize: It rained all day. Anna stayed at home, read a book and made soup for her mother."]),
        new(7, "qa", ["Where do fish live?"]),
        new(8, "qa", ["What is the name of the big star in our sky?"]),
        new(9, "math_reasoning", ["Ben has three apples and eats one. How many apples are left?"]),
        new(10, "math_reasoning", ["There are two cats and each has four legs. How many legs are there?"]),
        new(11, "rag", ["Text: The lion lives in the grass land. The bear lives in the woods.\nQuestion: Where does the bear live?"]),
        new(12, "rag", ["Text: Lily's bike is blue. Max has a green bike.\nQuestion: What colour is Lily's bike?"]),
    ];

    /// <summary>Reads a file.</summary>
    /// <param name="path">JSON lines.</param>
    /// <exception cref="PtpException">The file cannot be read, or a line is no question.</exception>
    public static IReadOnlyList<SpecQuestion> Read(string path)
    {
        var asked = $"Read questions from {path}";
        var file = new FileInfo(path);
        Guard.Require(file.Exists && file.Length <= LongestFile, asked, file.Exists ? $"{file.Length} bytes" : "no such file",
            $"Spec-Bench's question.jsonl, at most {LongestFile >> 20} MB", "Check the path; leave --questions out for twelve built-in ones.");
        var questions = new List<SpecQuestion>();
        foreach (var (line, number) in File.ReadLines(path).Select((line, i) => (line, i + 1)).Where(l => l.line.Length > 0))
        {
            questions.Add(Parse(line) ?? throw new PtpException(asked, $"line {number}: {(line.Length <= 60 ? line : line[..60] + "...")}",
                "an object with question_id, category and turns, a list of texts", "Mend the line, or fetch the file again."));
        }

        var twice = questions.GroupBy(q => q.Id).FirstOrDefault(g => g.Count() > 1);
        Guard.Require(questions.Count > 0 && twice is null, asked, twice is null ? "no question" : $"question_id {twice.Key} twice",
            "questions with an id each", "Mend the file, or fetch it again.");
        return questions;
    }

    private static SpecQuestion? Parse(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            var root = json.RootElement;
            string[] turns = [.. root.GetProperty("turns").EnumerateArray().Select(t => t.GetString()!)];
            return turns.Length > 0 && turns.All(t => !string.IsNullOrEmpty(t))
                ? new SpecQuestion(root.GetProperty("question_id").GetInt32(), root.GetProperty("category").GetString()!, turns)
                : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return null;
        }
    }
}
