// The ops that normalizing flows add to a transformer's: elementwise products, sigmoid, and monotone maps with their log-slopes.
// Same rules as the rest of the contract: rows stand alone, backward methods add to their destinations.
// Not here: the formulas of the maps, which Heads/Flows writes once for every device.

using Ptp.Core.Heads.Flows;

namespace Ptp.Core.Tensors;

public partial interface IBackend
{
    /// <summary>y += a * b, elementwise, same shapes: a product forward, and its own backward.</summary>
    void MultiplyAdd(Tensor a, Tensor b, Tensor y);

    /// <summary>y = 1 / (1 + exp(-x)), same shapes.</summary>
    void Sigmoid(Tensor x, Tensor y);

    /// <summary>dX += dY y (1 - y), with y of the forward op.</summary>
    void SigmoidBackward(Tensor y, Tensor dY, Tensor dX);

    /// <summary>
    /// y[r, d] = f(x[r, d]; p[r, d P .. d P + P)) and logSlopes[r, d] += log f' where active[d] is not 0; elsewhere y = x.
    /// </summary>
    /// <param name="map">f.</param>
    /// <param name="x">[R, D].</param>
    /// <param name="parameters">[R, D * P].</param>
    /// <param name="active">[1, D].</param>
    /// <param name="y">[R, D].</param>
    /// <param name="logSlopes">[R, D].</param>
    void Map(MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor y, Tensor logSlopes);

    /// <summary>Adds to dX [R, D] and dParameters [R, D * P].</summary>
    void MapBackward(
        MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor dY, Tensor dLogSlopes, Tensor dX, Tensor dParameters);
}
