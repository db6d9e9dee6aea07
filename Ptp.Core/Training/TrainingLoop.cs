// The steps of a run that keeps itself: one log line per step, checkpoints now and then and where it is stopped.
// What a step does, and what a checkpoint holds, is the run's. Refuses: losses that are not finite.

using System.Diagnostics;

namespace Ptp.Core.Training;

/// <summary>The loop that all runs share.</summary>
internal static class TrainingLoop
{
    /// <summary>Runs, or goes on; true if all steps are done, else a checkpoint was made where it stopped.</summary>
    /// <param name="asked">What is done, for errors.</param>
    /// <param name="optimiser">Counts the steps.</param>
    /// <param name="steps">Length of the run.</param>
    /// <param name="every">Steps between checkpoints.</param>
    /// <param name="log">Gets a line per step.</param>
    /// <param name="step">One step.</param>
    /// <param name="checkpoint">Writes what the run needs to go on.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="cancellation">Stops after the current step.</param>
    /// <param name="measure">Adds to the line of a step that made a checkpoint.</param>
    public static bool Run(
        string asked, AdamW optimiser, int steps, int every, TrainingLog log, Func<StepReport> step, Action checkpoint,
        Action<StepReport>? progress, CancellationToken cancellation, Action<Dictionary<string, double>>? measure = null)
    {
        var clock = Stopwatch.StartNew();
        while (optimiser.StepsTaken < steps && !cancellation.IsCancellationRequested)
        {
            var report = step();
            Guard.Require(double.IsFinite(report.Loss), asked, $"a loss of {report.Loss} at step {report.Step}",
                "a finite loss", "Lower the learning rate and resume from the last checkpoint.");
            progress?.Invoke(report);
            var values = new Dictionary<string, double>
            {
                ["step"] = report.Step,
                ["loss"] = report.Loss,
                ["rate"] = report.LearningRate,
                ["norm"] = report.GradientNorm,
                ["tokens"] = report.Tokens,
                ["seconds"] = clock.Elapsed.TotalSeconds,
            };
            if (report.Step % every == 0 && report.Step < steps)
            {
                checkpoint();
                measure?.Invoke(values);
            }

            log.Add(values);
        }

        if (optimiser.StepsTaken >= steps)
        {
            return true;
        }

        checkpoint();
        return false;
    }
}
