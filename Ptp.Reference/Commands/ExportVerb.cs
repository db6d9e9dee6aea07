// ptp export: writes a model and its tokenizer in another program's format; now GGUF, which llama.cpp reads.
// The same weights then run side by side in both, for comparison or for use.
// Refuses: models that ptp cannot run, tokenizers with more ids than the model.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core.Formats;

namespace Ptp.Reference.Commands;

/// <summary>Exports a model.</summary>
internal sealed class ExportVerb : Verb
{
    private readonly Option<string?> _model = Values.Text("--model", "Model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _gguf = Values.Text("--gguf", "The GGUF file to write.", "FILE.gguf");
    private readonly Option<string?> _type = Values.Word(
        "--type", "Number format of the matrices: 32, 16, or 8.5 bits per weight.", ["f32", "f16", "bf16", "q8_0"], "f16");

    public ExportVerb()
        : base(
            "export",
            "Write a model and its tokenizer as a GGUF file, for llama.cpp and the programs around it.",
            "ptp export --gguf base.gguf",
            "ptp export --model runs/base --gguf base-q8.gguf --type q8_0")
    {
        _gguf.Required = true;
        foreach (var option in (Option[])[_model, _tokenizer, _gguf, _type])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var (folder, files, tokenizer) = ModelChoice.Read(call.Get(_model), call.Get(_tokenizer));
        var type = call.Get(_type) switch { "f32" => GgufType.F32, "bf16" => GgufType.BF16, "q8_0" => GgufType.Q8_0, _ => GgufType.F16 };
        var path = call.Get(_gguf)!;
        GgufModel.Write(path, Path.GetFileName(Path.GetFullPath(folder)), files, tokenizer, type);
        var size = new FileInfo(path).Length;
        call.Out.Line($"Wrote {path}, {size} bytes.");
        call.Out.Result(new JsonObject
        {
            ["output"] = path,
            ["bytes"] = size,
            ["type"] = call.Get(_type),
            ["tensors"] = files.Tensors.Count,
        });
        return ErrorOutput.Done;
    }
}
