// Where a study works: a folder that keeps every model it trained, so that a stopped study goes on behind the last finished one.
// Base models are checkpoints, PTP models adapter folders; a model that was stopped starts anew. Results are one Markdown and one SVG file.
// Refuses: to mix the models of two efforts in one folder.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Ptp.Reference.Commands;

namespace Ptp.Reference.Studies;

/// <summary>Folder, device and effort of a study.</summary>
internal sealed class StudySpace
{
    /// <summary>What adapters of studies name their base.</summary>
    public const string Fingerprint = "study";

    private readonly Call _call;

    public StudySpace(Call call, IBackend backend, string folder, double effort)
    {
        Guard.Require(effort is > 0 and <= 100, "Run a study", $"an effort of {effort}", "a factor in (0, 100]",
            "1 is what docs/ show, 0.05 a look.");
        (_call, Backend, Folder, Effort) = (call, backend, folder, effort);
        Directory.CreateDirectory(folder);
        RunRecord.Keep(Path.Combine(folder, "study.json"), "Go on with the studies in " + folder,
            new System.Text.Json.Nodes.JsonObject { ["effort"] = effort }, "Name another folder with --output.");
    }

    /// <summary>Device.</summary>
    public IBackend Backend { get; }

    /// <summary>Where models and results are kept.</summary>
    public string Folder { get; }

    /// <summary>Factor on all training lengths.</summary>
    public double Effort { get; }

    /// <summary>Set by Ctrl-C.</summary>
    public CancellationToken Cancellation => _call.Cancellation;

    /// <summary>Measured cases: all of them, unless this is only a look.</summary>
    public int Cases(int cases) => Effort >= 0.02 ? cases : Math.Max(5, cases / 50);

    /// <summary>Tokens of measured texts: all of them, or a few if this is only a look.</summary>
    public int Tokens(int tokens) => Effort >= 0.02 ? tokens : 12;

    /// <summary>Steps of a run under this effort.</summary>
    public int Steps(int steps) => Math.Max(1, (int)(steps * Effort));

    /// <summary>A network that is trained once and then loaded.</summary>
    /// <param name="name">Its folder.</param>
    /// <param name="config">Its sizes.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="trainer">Makes what takes the steps.</param>
    public Transformer Network(string name, TransformerConfig config, int steps, Func<Transformer, Func<StepReport>> trainer)
    {
        var folder = Path.Combine(Folder, name);
        if (File.Exists(Path.Combine(folder, "config.json")))
        {
            return ModelCheckpoint.Load(folder, Backend);
        }

        var model = new Transformer(Backend, config, 1);
        Take(name, steps, trainer(model));
        model.SetTrainable(false);
        ModelCheckpoint.Save(folder, model, StoredType.F32);
        return model;
    }

    /// <summary>A PTP model that is trained once and then loaded.</summary>
    /// <param name="name">Its folder.</param>
    /// <param name="network">Its base, or its own network's teacher.</param>
    /// <param name="make">Makes it before the first step.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="trainer">Makes what takes the steps.</param>
    public SlotModel Slots(string name, Transformer network, Func<SlotModel> make, int steps, Func<SlotModel, Func<StepReport>> trainer)
    {
        var folder = Path.Combine(Folder, name);
        if (AdapterFolder.Exists(folder))
        {
            return PtpAdapter.Load(folder, network, Fingerprint);
        }

        var ptp = make();
        Take(name, steps, trainer(ptp));
        PtpAdapter.Save(folder, ptp, Fingerprint, name, steps, StoredType.F32);
        return ptp;
    }

    /// <summary>Parameters of any module that are trained once and then loaded.</summary>
    /// <param name="name">Its file.</param>
    /// <param name="parameters">What is trained.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="trainer">Makes what takes the steps.</param>
    public void Module(string name, IEnumerable<Parameter> parameters, int steps, Func<Func<StepReport>> trainer)
    {
        var file = Path.Combine(Folder, name + ".safetensors");
        if (File.Exists(file))
        {
            using var stored = SafetensorsFile.Open(file);
            ModelCheckpoint.Restore(
                parameters, stored.Names.ToDictionary(n => n, n => new StoredTensor(n, [.. stored.ShapeOf(n)], stored.Read(n))), "Go on with " + file);
            return;
        }

        Take(name, steps, trainer());
        Safetensors.Write(file, parameters.Select(ModelCheckpoint.Stored), StoredType.F32);
    }

    /// <summary>Writes NAME.md and NAME.svg.</summary>
    public void Write(string name, string markdown, string svg)
    {
        AtomicFile.WriteText(Path.Combine(Folder, name + ".md"), markdown);
        AtomicFile.WriteText(Path.Combine(Folder, name + ".svg"), svg);
    }

    /// <summary>The heads that come with the default model.</summary>
    public HeadShelf Heads(ModelChoice model) => new(_call, model, null, isDefault: true);

    /// <summary>Tells what is going on.</summary>
    public void Note(string text) => _call.Out.Note(text);

    /// <summary>Takes all steps; a stop throws, so what is saved behind it is whole.</summary>
    private void Take(string name, int steps, Func<StepReport> step)
    {
        using var bar = new Progress(_call.Out.Host, name);
        for (var done = 0; done < steps; done++)
        {
            Cancellation.ThrowIfCancellationRequested();
            var report = step();
            bar.Report(done + 1, steps, FormattableString.Invariant($"step {done + 1}/{steps}  loss {report.Loss:0.000}"));
        }
    }
}
