//! Who may talk to whom: Kubernetes objects, model, compiled table, verdict. Pure.
