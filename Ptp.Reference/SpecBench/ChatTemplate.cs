// How turns of a talk become one prompt: Vicuna's form (FastChat's vicuna_v1.1), ChatML, or plain text.
// Vicuna: system, then "USER: ... ASSISTANT: ...</s>" for every finished turn; ChatML: <|im_start|>role ... <|im_end|>.
// Refuses: other names. Templates in a model's folder are programs of another language and are not run.

namespace Ptp.Reference.SpecBench;

/// <summary>A template.</summary>
internal static class ChatTemplate
{
    /// <summary>What <see cref="Prompt"/> knows.</summary>
    public static readonly string[] Names = ["plain", "vicuna", "chatml"];

    private const string VicunaSystem = "A chat between a curious user and an artificial intelligence assistant. "
        + "The assistant gives helpful, detailed, and polite answers to the user's questions.";

    /// <summary>The prompt for the next answer.</summary>
    /// <param name="name">The template.</param>
    /// <param name="turns">What the user said so far; the last waits for its answer.</param>
    /// <param name="answers">The answers to all but the last.</param>
    public static string Prompt(string name, IReadOnlyList<string> turns, IReadOnlyList<string> answers) => name switch
    {
        "vicuna" => VicunaSystem + " " + string.Concat(turns.Select((turn, i) =>
            $"USER: {turn} ASSISTANT:" + (i < answers.Count ? $" {answers[i]}</s>" : ""))),
        "chatml" => string.Concat(turns.Select((turn, i) =>
            $"<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n" + (i < answers.Count ? answers[i] + "<|im_end|>\n" : ""))),
        _ => string.Concat(turns.Select((turn, i) => turn + "\n" + (i < answers.Count ? answers[i].Trim() + "\n" : ""))),
    };
}
